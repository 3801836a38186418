"""A third-party OpenID provider over HTTP, with endpoints where users sign in and clients get tokens."""

import base64
import hashlib
import io
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from werkzeug.serving import make_server

LIMIT_SECONDS = 40.0
CALLBACK = "http://localhost/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdProvider:
    """A running provider, with a count of the requests for each path."""

    port: int
    asked: Counter[str]

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    async def token(self, user: str, *groups: str, client: str = "configsvc") -> str:
        """Return an ID token of the user for the client, as a browser and the client get it together."""
        async with httpx.AsyncClient(base_url=self.issuer, trust_env=False, timeout=LIMIT_SECONDS) as browser:
            (await browser.put(f"/users/{user}", json={"groups": list(groups)})).raise_for_status()
            asked = {"client_id": client, "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
            signed_in = await browser.post("/oauth2/authorize", params=asked, data={"sub": user})
            (code,) = parse_qs(urlsplit(signed_in.headers["location"]).query)["code"]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
            answer = await browser.post("/oauth2/token", data=form, auth=(client, "secret"))
            return answer.raise_for_status().json()["id_token"]

    async def bearing(self, user: str, *groups: str) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call by the user."""
        return (("authorization", f"Bearer {await self.token(user, *groups)}"),)


@contextmanager
def reserved_port() -> Generator[int]:
    """Bind a free port without listening on it: nobody else gets it while no provider runs there."""
    with socket.socket() as holder:
        # Providers set this option too, so that they can bind the same port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def running_provider(port: int = 0) -> Generator[OpenIdProvider]:
    """Run the provider on the port, with a new key."""
    # Warnings of third-party code, in its own threads.
    with warnings.catch_warnings(record=True):
        from oidc_provider_mock import app  # noqa: PLC0415

        warnings.simplefilter("ignore")
        asked: Counter[str] = Counter()
        challenges: set[str] = set()
        answer = app()

        def counted(environment: dict[str, Any], start_response: Any) -> Any:
            asked[environment["PATH_INFO"]] += 1
            _take_public_client(environment, challenges)

            def for_any_page(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                # Browsers of the console ask it, too.
                return start_response(status, [*headers, ("Access-Control-Allow-Origin", "*")], *rest)

            return answer(environment, for_any_page)

        server = make_server("localhost", port, counted, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield OpenIdProvider(port=server.server_port, asked=asked)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _take_public_client(environment: dict[str, Any], challenges: set[str]) -> None:
    """Let clients without a secret in if they prove that they began the sign-in (RFC 7636), which the library lacks."""
    if environment["PATH_INFO"] == "/oauth2/authorize":
        challenges.update(parse_qs(environment["QUERY_STRING"]).get("code_challenge", ()))
    if environment["PATH_INFO"] != "/oauth2/token" or "HTTP_AUTHORIZATION" in environment:
        return
    body = environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"]))
    environment["wsgi.input"] = io.BytesIO(body)
    form = parse_qs(body.decode())
    digest = hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest()
    if base64.urlsafe_b64encode(digest).decode().rstrip("=") in challenges or "refresh_token" in form:
        credentials = base64.b64encode(f"{form['client_id'][0]}:any".encode()).decode()
        environment["HTTP_AUTHORIZATION"] = f"Basic {credentials}"
