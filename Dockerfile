FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/configsvc
COPY requirements.lock requirements-build.lock ./
RUN /opt/configsvc/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
# The build backend is not copied into the final image.
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY configsvc configsvc
COPY generated generated
COPY migrations migrations
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && /opt/configsvc/bin/pip install --no-cache-dir --no-deps wheels/*.whl

FROM python:3.13-slim
COPY --from=build /opt/configsvc /opt/configsvc
RUN useradd --system --create-home --home-dir /var/lib/configsvc configsvc
USER configsvc
WORKDIR /var/lib/configsvc
ENV PATH=/opt/configsvc/bin:$PATH
EXPOSE 50051 50080
# A list, so that the service itself receives SIGTERM and drains.
ENTRYPOINT ["configsvc"]
CMD ["serve"]
