"""Contexts: where services are, and what proves the caller's identity there. One file, for its owner alone."""

import json
import os
import stat
import sys
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from configsvc.cli.failures import CliError, ExitCode, UsageError

DEFAULT_SERVER = "localhost:50051"


@dataclass(frozen=True, slots=True)
class Context:
    """A service, and the caller's credentials for it. Secrets are in other files, or come from a command."""

    server: str = DEFAULT_SERVER
    # The address of the service over HTTP, for browsers.
    http: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""
    token_command: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_scope: str = ""
    # A mesh that encrypts for the program takes tokens in clear text.
    allow_plaintext_token: bool = False

    @property
    def tls(self) -> bool:
        """True if the connection is encrypted."""
        return self.server.startswith("https://") or bool(self.ca_file or self.cert_file)

    @property
    def target(self) -> str:
        """The address for gRPC."""
        if not self.server.startswith(("https://", "http://")):
            return self.server
        parts = urlsplit(self.server)
        return parts.netloc if parts.port else f"{parts.netloc}:{443 if self.server.startswith('https') else 80}"

    @property
    def local(self) -> bool:
        """True if the service is on this machine."""
        return self.target.startswith("unix:") or is_loopback(urlsplit(f"//{self.target}").hostname or "")


def is_loopback(host: str) -> bool:
    """Return true for localhost and for the loopback addresses. A name that only begins like one is elsewhere."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class BrokenContext:
    """A context that no command can use until it is set again. `stored` is what the file has, and keeps until then."""

    stored: Any
    fault: str
    # The members that can be used.
    rest: Context


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts by name, and the current one's name."""

    current: str = ""
    contexts: dict[str, Context] = field(default_factory=dict[str, Context])
    broken: dict[str, BrokenContext] = field(default_factory=dict[str, BrokenContext])

    @property
    def names(self) -> list[str]:
        """The names of all contexts, sorted."""
        return sorted(self.contexts | self.broken)

    def named(self, name: str) -> Context:
        """Return a context. Raises CliError."""
        if name in self.contexts:
            return self.contexts[name]
        if name in self.broken:
            raise CliError(
                f"the context {name} in {contexts_file()} cannot be used: {self.broken[name].fault}",
                hint=f"`configsvc context set {name} --server ADDRESS` mends it; `context delete {name}` removes it.",
            )
        known = ", ".join(self.names) or "none"
        raise CliError(
            f"there is no context {name}",
            ExitCode.NOT_FOUND,
            hint=f"Known contexts: {known}. `configsvc context set {name} --server ADDRESS` makes it.",
        )

    def with_context(self, name: str, context: Context) -> "Contexts":
        """Return the contexts with this one; the first one is the current one."""
        broken = {other: found for other, found in self.broken.items() if other != name}
        return Contexts(self.current or name, {**self.contexts, name: context}, broken)

    def without(self, name: str) -> "Contexts":
        """Return the contexts without this one. Raises CliError."""
        if name not in self.broken:
            self.named(name)
        left = {other: context for other, context in self.contexts.items() if other != name}
        broken = {other: found for other, found in self.broken.items() if other != name}
        return Contexts("" if self.current == name else self.current, left, broken)


def folder() -> Path:
    """Return the folder of the program's settings."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "configsvc"


def contexts_file() -> Path:
    """Return the file of the contexts."""
    return folder() / "contexts.json"


def load_contexts() -> Contexts:
    """Read the contexts; none if there is no file. Raises CliError."""
    path = contexts_file()
    try:
        with path.open(encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                print(f"configsvc: warning: others can read {path}: chmod 600 {path}", file=sys.stderr)  # noqa: T201
            stored: dict[str, Any] = json.load(file)
        return _contexts_of(stored)
    except FileNotFoundError:
        return Contexts()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, CliError) as error:
        raise CliError(
            f"cannot read the contexts in {path}: {error}", hint="Correct the file, or move it away and begin anew."
        ) from None


def _contexts_of(stored: dict[str, Any]) -> Contexts:
    if not isinstance(stored["current"], str):
        raise TypeError("the current context is no name")
    contexts: dict[str, Context] = {}
    broken: dict[str, BrokenContext] = {}
    for name, found in stored["contexts"].items():
        context, fault = _context_of(found)
        if fault:
            broken[name] = BrokenContext(found, fault, context)
        else:
            contexts[name] = context
    return Contexts(stored["current"], contexts, broken)


def _context_of(stored: Any) -> tuple[Context, str]:
    """Return the members of a context that can be used, and the fault of the others, if any."""
    if not isinstance(stored, dict):
        return Context(), "it is no object"
    kinds: dict[str, type] = {field.name: type(cast("object", field.default)) for field in fields(Context)}
    members, fault = dict(cast("dict[str, Any]", stored)), ""
    for member, value in list(members.items()):
        if member not in kinds:
            fault = f"{member} is unknown"
        elif not isinstance(value, kinds[member]):
            fault = f"{member} is no {'text' if kinds[member] is str else 'true or false'}"
        else:
            continue
        del members[member]
    context = Context(**members)
    try:
        checked_server(context.server)
        if context.http:
            checked_http(context.http)
    except UsageError as error:
        # What it was meant to be is unknown, so they are given anew.
        return replace(context, server=DEFAULT_SERVER, http=""), error.text
    return context, fault


def save_contexts(contexts: Contexts) -> None:
    """Write the contexts. Raises CliError."""
    named: dict[str, Any] = {
        name: {key: value for key, value in asdict(context).items() if value}
        for name, context in contexts.contexts.items()
    }
    named |= {name: found.stored for name, found in contexts.broken.items()}
    write_private(contexts_file(), json.dumps({"current": contexts.current, "contexts": named}, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically with one that only its owner can read. Raises CliError."""
    try:
        # A link to the file stays one.
        path = Path(os.path.realpath(path))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from None


def chosen_context(name: str | None, server: str | None) -> tuple[str, Context]:
    """Return the context of a command, with its name; empty without one. A server that is named without a context gets
    no credentials of the current one, which are meant for another server. Raises CliError.
    """
    name = name or os.environ.get("CONFIGSVC_CONTEXT")
    server = server or os.environ.get("CONFIGSVC_SERVER")
    if server and not name:
        return "", from_environment(Context(server=checked_server(server)))
    contexts = load_contexts()
    name = name or contexts.current
    context = contexts.named(name) if name else Context()
    if server:
        context = replace(context, server=checked_server(server))
    return name, from_environment(context)


def from_environment(context: Context) -> Context:
    """Return the context with the files that variables name."""
    named = {
        key: os.environ.get(f"CONFIGSVC_{key.upper()}", "")
        for key in ("token_file", "ca_file", "cert_file", "key_file")
    }
    return replace(context, **{key: value for key, value in named.items() if value})


def checked_server(server: str) -> str:
    """Return an address that gRPC can use. Raises UsageError."""
    if server.startswith("unix:"):
        return server
    address = server.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, port = _host_and_port(address)
    if not host or port == 0:
        raise UsageError(f"{server!r} is no address: write HOST:PORT, https://HOST:PORT for TLS, or unix:PATH")
    if port is None and not server.startswith(("https://", "http://")):
        raise UsageError(f"{server!r} has no port: write HOST:PORT, for example {address}:50051")
    return server.rstrip("/")


def checked_http(url: str) -> str:
    """Return an address for browsers, without a slash at its end. Raises UsageError."""
    scheme, separator, address = url.rstrip("/").partition("://")
    host, port = _host_and_port(address.partition("/")[0])
    if scheme not in {"http", "https"} or not separator or not host or port == 0 or not url.isprintable() or " " in url:
        raise UsageError(f"{url!r} is no address over HTTP: write https://HOST, or http://HOST:PORT")
    return url.rstrip("/")


def _host_and_port(address: str) -> tuple[str, int | None]:
    """Return the host, empty if the address is none, and the port."""
    if any(character in "/@?#\\" or character.isspace() for character in address) or address.endswith(":"):
        return "", None
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    return host, port
