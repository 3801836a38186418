"""Contexts and tokens, as a process against a real service that authenticates."""

import json
import os
import stat
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from configsvc.cli.contexts import Context, checked_server, load_contexts, save_contexts
from configsvc.cli.failures import CliError
from tests.cli.running import Cli
from tests.identity.authorities import ROOT, Authority, files_in, uri
from tests.identity.tokens import oidc_settings, token
from tests.service import running_service


def contexts_file(cli: Cli) -> Path:
    return cli.folder / "settings" / "configsvc" / "contexts.json"


async def test_contexts_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    await cli.ok("context", "set", "one", "--server", "one:1")
    await cli.ok("context", "set", "two", "--server", "https://two", "--token-file", "t")
    assert stat.S_IMODE(contexts_file(cli).stat().st_mode) == 0o600
    assert stat.S_IMODE(contexts_file(cli).parent.stat().st_mode) == 0o700
    listed = (await cli.ok("context", "list", "-o", "json")).json
    assert [(one["name"], one["current"], one["credentials"]) for one in listed] == [
        ("one", True, "none"),
        ("two", False, "token file"),
    ]
    await cli.ok("context", "use", "two")
    assert (await cli.ok("context", "get", "-o", "name")).out == "two\n"
    await cli.ok("context", "set", "two", "--token-file", "")
    assert (await cli.ok("context", "get", "two", "-o", "json")).json["credentials"] == "none"
    await cli.ok("context", "delete", "two")
    assert (await cli("context", "use", "two")).code == 3
    contexts_file(cli).chmod(0o644)
    assert "chmod 600" in (await cli.ok("context", "list")).err
    contexts_file(cli).write_text("{", encoding="utf-8")
    broken = await cli("context", "list")
    assert broken.code == 1
    assert str(contexts_file(cli)) in broken.err


async def test_flags_go_before_variables_and_variables_before_the_current_context(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    for name in ("one", "two", "three"):
        await cli.ok("context", "set", name, "--server", f"{name}:1", "--token-file", f"{name}.token")

    async def chosen(*arguments: str, **variables: str) -> tuple[str, str, str]:
        found = (await cli.ok("context", "get", "-o", "json", *arguments, **variables)).json
        return found["name"], found["server"], found.get("token_file", "")

    assert await chosen() == ("one", "one:1", "one.token")
    assert await chosen(CONFIGSVC_CONTEXT="two") == ("two", "two:1", "two.token")
    assert await chosen("--context", "three", CONFIGSVC_CONTEXT="two") == ("three", "three:1", "three.token")
    assert await chosen("--context", "three", CONFIGSVC_SERVER="x:1") == ("three", "x:1", "three.token")
    # Credentials of the current context are meant for its server.
    assert await chosen(CONFIGSVC_SERVER="x:1") == ("", "x:1", "")
    assert await chosen("--server", "y:1", CONFIGSVC_SERVER="x:1", CONFIGSVC_TOKEN_FILE="z") == ("", "y:1", "z")
    assert (await cli("status", "--context", "none")).code == 3


@pytest.mark.parametrize(
    "server",
    [
        *("", "host", "http://a/b", "a b:1", "host:port", "host:99999", "::1:50051", "a@b:1", "host:0"),
        *("https://localhost:abc", "https://localhost:99999", "https://localhost:", "http://[::1:1"),
    ],
)
async def test_an_address_that_cannot_be_one_is_refused(tmp_path: Path, server: str) -> None:
    refused = await Cli(tmp_path)("context", "set", "one", "--server", server)
    assert refused.code == 2
    assert refused.err.startswith("error: ")


async def test_tokens_come_from_a_file_or_a_command_and_prove_who_calls(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        cli = Cli(tmp_path)
        await cli.ok("context", "set", "s", "--server", service.address)
        nobody = await cli("whoami")
        assert nobody.code == 4
        assert "(UNAUTHENTICATED)" in nobody.err
        cli.write("token", token("root") + "\n")
        await cli.ok("context", "set", "s", "--token-file", str(tmp_path / "token"))
        caller = (await cli.ok("whoami", "-o", "json")).json
        assert (caller["principal"], caller["role"]) == ("user:root", "ROLE_ADMIN")
        await cli.ok("app", "create", "shop")
        await cli.ok("access", "create", "user:ann", "viewer", "shop")
        cli.write("ann", token("ann"))
        await cli.ok("context", "set", "ann", "--server", service.address, "--token-command", f"cat '{tmp_path}/ann'")
        assert "viewer of shop" in (await cli.ok("whoami", "--context", "ann")).out
        refused = await cli("config", "create", "shop/web", "-f", "-", "--context", "ann", stdin="{}")
        assert refused.code == 4
        assert "(PERMISSION_DENIED)" in refused.err
        bindings = (await cli.ok("access", "list", "shop", "-o", "json")).json
        assert [one["principal"] for one in bindings] == ["user:ann"]
        await cli.ok("access", "delete", bindings[0]["id"], "--reason", "left")
        changes = (await cli.ok("audit", "list", "shop", "--kind", "role_binding", "-o", "json")).json
        assert [(one["type"], one["origin"]["actor"]) for one in changes] == [
            ("CHANGE_TYPE_DELETED", "user:root"),
            ("CHANGE_TYPE_CREATED", "user:root"),
        ]
        await cli.ok("context", "set", "broken", "--server", service.address, "--token-command", "false")
        assert (await cli("whoami", "--context", "broken")).code == 4


async def test_a_token_that_has_expired_is_read_again_once(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        cli = Cli(tmp_path)
        now = int(time.time())
        expired, others = token("root", exp=now - 600), [token("root", exp=now - 500), token("root")]
        # Each run prints the first token that is left.
        command = f"""sh -c 'head -n 1 "{tmp_path}/tokens"; sed -i 1d "{tmp_path}/tokens"'"""
        await cli.ok("context", "set", "s", "--server", service.address, "--token-command", command)
        cli.write("tokens", "\n".join([expired, others[1]]))
        assert (await cli.ok("whoami", "-o", "name")).out == "user:root\n"
        cli.write("tokens", "\n".join([expired, *others]))
        refused = await cli("whoami")
        assert refused.code == 4
        assert (tmp_path / "tokens").read_text(encoding="utf-8").strip() == others[1]


async def test_a_token_never_goes_to_another_machine_in_clear_text(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.write("token", "secret")
    refused = await cli("status", "--server", "192.0.2.1:1", CONFIGSVC_TOKEN_FILE="token")
    assert refused.code == 1
    assert "in clear text" in refused.err
    assert "secret" not in refused.err


@pytest.mark.parametrize(
    "server", ["localhost.evil.invalid:50051", "http://127.evil.invalid:1", "localhostile.com:443"]
)
async def test_a_name_that_begins_like_this_machine_gets_no_token_in_clear_text(tmp_path: Path, server: str) -> None:
    cli = Cli(tmp_path)
    cli.write("token", "secret")
    refused = await cli("status", "--server", server, "--timeout", "1s", CONFIGSVC_TOKEN_FILE="token")
    assert "in clear text" in refused.err
    issuer = ("--oidc-issuer", "http://localhost.evil.invalid", "--oidc-client-id", "cli")
    assert (await cli("context", "set", "s", "--server", "a:1", *issuer)).code == 2


@pytest.mark.parametrize("server", ["localhost:1", "127.0.0.2:1", "[::1]:1", "http://LOCALHOST", "unix:/a"])
def test_this_machine_is_known_by_its_names_and_addresses(server: str) -> None:
    assert Context(checked_server(server)).local


def with_broken(cli: Cli, context: str) -> None:
    contexts = f'{{"one": {{"server": "one:1"}}, "broken": {context}}}'
    contexts_file(cli).parent.mkdir(parents=True)
    contexts_file(cli).write_text(f'{{"current": "broken", "contexts": {contexts}}}', encoding="utf-8")
    contexts_file(cli).chmod(0o600)


@pytest.mark.parametrize(
    "context",
    [
        *('{"server": 5}', '{"sever": "a:1"}', '{"server": "http://a:b"}', '{"server": ""}'),
        *('{"allow_plaintext_token": "no"}', "[1]", '{"server": "a:1", "http": "a b"}'),
    ],
)
def test_a_broken_context_is_kept_as_it_is_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: str
) -> None:
    cli = Cli(tmp_path)
    with_broken(cli, context)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    contexts = load_contexts()
    assert contexts.names == ["broken", "one"]
    assert contexts.named("one").server == "one:1"
    with pytest.raises(CliError, match=r"the context broken in .* cannot be used: ") as refused:
        contexts.named("broken")
    assert "__init__" not in refused.value.text
    # Without the members that cannot be used, it would be another context.
    save_contexts(contexts.with_context("two", Context("two:1")))
    stored = json.loads(contexts_file(cli).read_text(encoding="utf-8"))
    assert stored["contexts"]["broken"] == json.loads(context)


async def test_a_bad_address_stops_only_commands_that_use_its_context_which_can_be_mended(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with_broken(cli, '{"server": "a:b", "token_file": "t"}')
    refused = await cli("status")
    assert refused.code == 1
    assert refused.err.startswith(f"error: the context broken in {contexts_file(cli)} cannot be used: 'a:b' is no")
    assert "`configsvc context set broken --server ADDRESS` mends it" in refused.err
    listed = (await cli.ok("context", "list", "-o", "json")).json
    assert [(one["name"], bool(one.get("fault"))) for one in listed] == [("broken", True), ("one", False)]
    assert (await cli("context", "set", "broken", "--token-command", "t")).code == 1
    await cli.ok("context", "set", "broken", "--server", "new:1")
    mended = (await cli.ok("context", "get", "-o", "json")).json
    assert (mended["name"], mended["server"], mended["token_file"]) == ("broken", "new:1", "t")
    contexts_file(cli).write_text(contexts_file(cli).read_text(encoding="utf-8").replace("new:1", ""), encoding="utf-8")
    await cli.ok("context", "delete", "broken")
    assert (await cli.ok("context", "list", "-o", "name")).out == "one\n"


@pytest.mark.parametrize(
    "login", ["[1]", '{"issuer": "https://i"}', '{"issuer": "https://i", "token": 1, "expires": 1}']
)
async def test_a_damaged_sign_in_is_none(tmp_path: Path, login: str) -> None:
    cli = Cli(tmp_path)
    await cli.ok(
        "context", "set", "s", "--server", "localhost:1", "--oidc-issuer", "https://i", "--oidc-client-id", "c"
    )
    stored = contexts_file(cli).parent / "logins" / "s.json"
    stored.parent.mkdir()
    stored.write_text(login, encoding="utf-8")
    refused = await cli("status")
    assert (refused.code, refused.err.splitlines()[0]) == (4, "error: not signed in to https://i")


async def test_a_link_to_the_file_of_contexts_stays_one(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    await cli.ok("context", "set", "one", "--server", "one:1")
    elsewhere = contexts_file(cli).rename(tmp_path / "elsewhere.json")
    contexts_file(cli).symlink_to(elsewhere)
    await cli.ok("context", "set", "two", "--server", "two:1")
    assert contexts_file(cli).is_symlink()
    assert "two:1" in elsewhere.read_text(encoding="utf-8")


async def test_a_client_certificate_proves_who_calls(database_url: str, tmp_path: Path) -> None:
    authority = Authority()
    caller = authority.pair(uri())
    files = files_in(tmp_path, authority)
    admin = authority.trusting(caller)
    async with running_service(database_url, credentials=admin, **files.settings()) as service:
        cli = Cli(tmp_path)
        cli.write("caller.pem", caller.certificate.decode())
        cli.write("caller-key.pem", caller.key.decode())
        address = f"https://localhost:{service.address.rsplit(':', 1)[1]}"
        certificate = ("--cert-file", f"{tmp_path}/caller.pem", "--key-file", f"{tmp_path}/caller-key.pem")
        await cli.ok("context", "set", "s", "--server", address, "--ca-file", str(files.authorities), *certificate)
        assert (await cli.ok("whoami", "-o", "name")).out == f"certificate:{ROOT}\n"
        await cli.ok("context", "set", "s", "--ca-file", "")
        untrusted = await cli("whoami")
        assert untrusted.code == 6
        assert "does not respond" in untrusted.err


class Provider:
    """An OpenID provider with the device flow of RFC 8628 and refresh tokens."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""
        self.seconds = 3600

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, Any]:
        match path, form.get("grant_type", "").rsplit(":", 1)[-1]:
            case "/.well-known/openid-configuration", _:
                endpoints = {"token_endpoint": "/token", "device_authorization_endpoint": "/device"}
                return 200, {"issuer": self.url, **{name: self.url + end for name, end in endpoints.items()}}
            case "/device", _:
                assert form["client_id"] == "cli"
                device = {"device_code": "d", "user_code": "ABCD", "verification_uri": f"{self.url}/enter"}
                return 200, {**device, "expires_in": 60, "interval": 0.05}
            case "/token", "device_code":
                self.asked.append("device")
                if len(self.asked) < 3:
                    return 400, {"error": "authorization_pending"}
                return 200, self._tokens("root")
            case "/token", "refresh_token" if form["refresh_token"] == "r":
                self.asked.append("refresh")
                return 200, self._tokens("root")
            case _:
                return 400, {"error": "invalid_grant", "error_description": "not here"}

    def _tokens(self, user: str) -> Any:
        return {"id_token": token(user), "access_token": "opaque", "refresh_token": "r", "expires_in": self.seconds}


@contextmanager
def running_provider() -> Generator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            code, answer = provider.answer(self.path, {name: values[0] for name, values in parse_qs(body).items()})
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_the_device_flow_signs_in_and_the_token_is_renewed(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        cli = Cli(tmp_path, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        with running_provider() as provider:
            options = ("--oidc-issuer", provider.url, "--oidc-client-id", "cli")
            await cli.ok("context", "set", "s", "--server", service.address, *options)
            before = await cli("whoami")
            assert before.code == 4
            assert "`configsvc context login s`" in before.err
            provider.seconds = 30
            signed_in = await cli.ok("context", "login")
            assert "enter the code ABCD" in signed_in.err
            assert provider.asked == ["device"] * 3
            # The token ends soon, so each command renews it; a longer one is used again.
            provider.seconds = 3600
            assert (await cli.ok("whoami", "-o", "name")).out == "user:root\n"
            await cli.ok("whoami")
            assert provider.asked == ["device"] * 3 + ["refresh"]
        stored = tmp_path / "settings" / "configsvc" / "logins" / "s.json"
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
        assert "opaque" not in contexts_file(cli).read_text(encoding="utf-8")
        await cli.ok("context", "delete", "s")
        assert not stored.exists()
        assert os.listdir(stored.parent) == []  # noqa: PTH208
