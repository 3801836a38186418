"""GetConfiguration against a bare handler that returns the same bytes, and etcd."""

import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bench.loads import messages
from bench.loads.calls import call_once
from bench.loads.h2load import CONNECTIONS, STREAMS, Load
from bench.loads.http2 import enveloped
from bench.loads.messages import Call
from bench.peers import bare, servers
from bench.peers.processes import free_address
from bench.peers.provider import Provider
from bench.plan import Run, in_turn
from bench.report.results import Figure, Row, Target, figures, row

WARM_UP_SECONDS = 0.4
NAME = messages.row_name(1)
AT_LEAST_085 = Target(at="least", bound=0.85)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server under h2load: a call, and what is answered."""

    load: Load
    answer: bytes


async def measure(run: Run) -> tuple[Row, ...]:
    """The rows of reads."""
    reason = servers.missing("h2load")
    if reason:
        return _rows(lambda _: Figure(missing=reason))
    seconds = run.plan.seconds
    async with AsyncExitStack() as stack:
        subjects, reasons = await _subjects(run, stack)
        for subject in subjects.values():
            # h2load's own warm-up would spoil its count of bytes.
            await _calls_per_second(subject, min(WARM_UP_SECONDS, seconds))
        measurements = {name: partial(_calls_per_second, subject, seconds) for name, subject in subjects.items()}
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    return _rows(figures(samples, reasons))


def _rows(figure: Callable[[str], Figure]) -> tuple[Row, ...]:
    limit = ("a bare grpc.aio handler", figure("bare handler"))
    etcd = ("range of 650 B", figure("etcd range"))
    return (
        row(
            "get_configuration_authenticated",
            "GetConfiguration, 650 B, with a token, metrics on",
            "calls/s",
            figure("GetConfiguration with a token"),
            limit=("a bare grpc.aio handler that is sent the token too", figure("bare handler with a token")),
            etcd=etcd,
            target=AT_LEAST_085,
        ),
        row(
            "get_configuration",
            "GetConfiguration, 650 B",
            "calls/s",
            figure("GetConfiguration"),
            limit=limit,
            etcd=etcd,
            target=AT_LEAST_085,
        ),
        row(
            "get_configuration_workers",
            "GetConfiguration, 650 B, 2 workers",
            "calls/s",
            figure("GetConfiguration, 2 workers"),
            limit=limit,
            etcd=etcd,
        ),
        row(
            "get_configuration_logged",
            "GetConfiguration, 650 B, log level info",
            "calls/s",
            figure("GetConfiguration, log level info"),
            limit=limit,
        ),
    )


async def _subjects(run: Run, stack: AsyncExitStack) -> tuple[dict[str, Subject], dict[str, str]]:
    """What is measured, and why the rest is not."""
    reasons: dict[str, str] = {}
    get = messages.get(NAME)

    async def subject_of_its_own(*flags: str, log_level: str = "warning") -> Subject:
        server = await stack.enter_async_context(
            servers.service(run.database_url, run.folder, *flags, log_level=log_level)
        )
        return await _subject(run, server.address, get)

    server = await stack.enter_async_context(servers.service_of(run))
    provider = Provider(run.folder, "bench")
    authorization = provider.authorization("bench")
    subjects = {
        "GetConfiguration": await _subject(run, server.address, get),
        "GetConfiguration with a token": await _authenticated(run, stack, get, provider, authorization),
    }
    limit = await stack.enter_async_context(servers.bare(subjects["GetConfiguration"].answer, run.folder))
    nothing = Call(path=bare.GET, request=get.request)
    subjects["bare handler"] = await _subject(run, limit.address, nothing)
    # h2load sends each token whole, where gRPC's own clients send it once for a connection: it costs all the same.
    subjects["bare handler with a token"] = await _subject(run, limit.address, nothing, authorization)
    reason = servers.missing("etcd")
    if reason:
        reasons["etcd range"] = reason
    else:
        etcd = await stack.enter_async_context(servers.etcd(run.folder))
        await call_once(etcd.address, messages.etcd_put(NAME))
        subjects["etcd range"] = await _subject(run, etcd.address, messages.etcd_range(NAME))
    subjects["GetConfiguration, 2 workers"] = await subject_of_its_own("--workers", "2")
    subjects["GetConfiguration, log level info"] = await subject_of_its_own(log_level="info")
    return subjects, reasons


async def _authenticated(
    run: Run, stack: AsyncExitStack, call: Call, provider: Provider, authorization: str
) -> Subject:
    """The service as it is in earnest: callers prove who they are, and Prometheus may ask."""
    more = {"CONFIGSVC_CALLS_PER_SECOND": "0", "CONFIGSVC_METRICS_LISTEN": free_address()}
    server = await stack.enter_async_context(
        servers.service(run.database_url, run.folder, environment=provider.environment | more)
    )
    return await _subject(run, server.address, call, authorization)


async def _subject(run: Run, address: str, call: Call, authorization: str = "") -> Subject:
    """The answer is looked at here, for h2load knows HTTP and not gRPC: an error is a success to it."""
    answer = await call_once(address, call, authorization)
    if b"db-1.internal.example" not in answer:
        raise RuntimeError(f"{call.path} does not answer with the content")
    return Subject(load=Load.of(run.folder, address, call, authorization), answer=answer)


async def _calls_per_second(subject: Subject, seconds: float) -> float:
    return _checked_rate(await subject.load.run(seconds), len(enveloped(subject.answer)))


def _checked_rate(printed: str, answer_bytes: int) -> float:
    """The rate that h2load printed, if every answer had its full length."""
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", printed)
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", printed)
    data = re.search(r"\((\d+)\) data", printed)
    if not (rate and requests and data):
        raise RuntimeError(f"h2load printed something else than expected: {printed}")
    succeeded, failed, errored = map(int, requests.groups())
    # Bytes of answers that were not complete in the end are counted too.
    started = int(data[1]) / answer_bytes - succeeded
    if failed or errored or not 0 <= started <= CONNECTIONS * STREAMS:
        raise RuntimeError(f"answers under h2load are not whole: {printed}")
    return float(rate[1])
