"""The commands of contexts."""

from dataclasses import asdict, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from configsvc.cli.commands import command, group
from configsvc.cli.completion import complete_contexts
from configsvc.cli.contexts import (
    Context,
    Contexts,
    checked_http,
    checked_server,
    chosen_context,
    is_loopback,
    load_contexts,
    save_contexts,
)
from configsvc.cli.credentials import device_login, forget_login
from configsvc.cli.failures import UsageError
from configsvc.cli.output import Column, Format, Table, print_pairs, say
from configsvc.cli.session import Session

app = group()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Context.", autocompletion=complete_contexts)]
OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Context; the current one.", autocompletion=complete_contexts),
]

_TABLE = Table(
    (
        Column("CURRENT", lambda found: "*" if found["current"] else ""),
        Column("NAME", lambda found: found["name"]),
        Column("SERVER", lambda found: found["server"]),
        Column("CREDENTIALS", lambda found: found["credentials"] or f"cannot be used: {found['fault']}"),
    ),
    lambda found: found["name"],
)


def _described(contexts: Contexts, name: str) -> dict[str, Any]:
    if name in contexts.broken:
        fault = contexts.broken[name].fault
        return {"name": name, "current": name == contexts.current, "server": "", "credentials": "", "fault": fault}
    context = contexts.contexts[name]
    return {
        "name": name,
        "current": name == contexts.current,
        "credentials": _credentials(context),
        **{key: value for key, value in asdict(context).items() if value},
    }


def _credentials(context: Context) -> str:
    named = {
        "token file": context.token_file,
        "token command": context.token_command,
        "sign-in": context.oidc_issuer,
        "certificate": context.cert_file,
    }
    return ", ".join(kind for kind, value in named.items() if value) or "none"


@command(app, "list", prints=True, connects=False)
def list_(session: Session) -> None:
    """List contexts."""
    contexts = load_contexts()
    session.print_many([_described(contexts, name) for name in contexts.names], _TABLE)


@command(app, "get", prints=True)
def get(session: Session, name: OptionalName = None) -> None:
    """Print a context, or what commands use now.

    The latter takes variables into account.
    """
    if name is not None:
        found = _described(load_contexts(), _existing(name))
    else:
        chosen, context = chosen_context(session.context, session.server)
        found = {"name": chosen, "credentials": _credentials(context)}
        found |= {key: value for key, value in asdict(context).items() if value}
    if session.output in {None, Format.TABLE}:
        print_pairs((key.replace("_", "-"), value) for key, value in found.items() if key != "current")
    elif session.output is Format.NAME:
        typer.echo(found["name"])
    else:
        session.print_value(found)


def _existing(name: str) -> str:
    load_contexts().named(name)
    return name


@command(app, "use", connects=False)
def use(session: Session, name: Name) -> None:  # noqa: ARG001
    """Make a context the current one."""
    save_contexts(replace(load_contexts(), current=_existing(name)))
    say(f"commands use {name} now")


@command(app, "set", connects=False)
def set_(
    session: Session,  # noqa: ARG001
    name: Name,
    server: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of the service; https://HOST:PORT for TLS.")
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the service over HTTP, for `open`.")
    ] = None,
    token_file: Annotated[str | None, typer.Option(metavar="FILE", help="File that holds a token.")] = None,
    token_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Command that prints a token; no shell runs it.")
    ] = None,
    oidc_issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="OpenID provider to sign in at with `context login`.")
    ] = None,
    oidc_client_id: Annotated[str | None, typer.Option(metavar="ID", help="Client id for the provider.")] = None,
    oidc_scope: Annotated[
        str | None, typer.Option(metavar="SCOPES", help="Scopes to ask for; 'openid offline_access'.")
    ] = None,
    ca_file: Annotated[str | None, typer.Option(metavar="FILE", help="Certificates of authorities to trust.")] = None,
    cert_file: Annotated[str | None, typer.Option(metavar="FILE", help="Client certificate.")] = None,
    key_file: Annotated[str | None, typer.Option(metavar="FILE", help="Private key of the client certificate.")] = None,
    allow_plaintext_token: Annotated[
        bool | None, typer.Option(help="Send tokens without TLS, for meshes that encrypt.")
    ] = None,
) -> None:
    """Create a context, or change it.

    What is not given stays, and an empty value removes it. The first context is the current one.
    """
    given: dict[str, Any] = {
        "server": None if server is None else checked_server(server),
        "http": http and checked_http(http),
        "token_file": token_file,
        "token_command": token_command,
        "oidc_issuer": oidc_issuer,
        "oidc_client_id": oidc_client_id,
        "oidc_scope": oidc_scope,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
        "allow_plaintext_token": allow_plaintext_token,
    }
    contexts = load_contexts()
    context = replace(_before(contexts, name, server), **{k: v for k, v in given.items() if v is not None})
    _check(name, context)
    save_contexts(contexts.with_context(name, context))
    say(f"wrote the context {name}")


def _before(contexts: Contexts, name: str, server: str | None) -> Context:
    """Return the context that is changed. A broken one needs an address again. Raises CliError."""
    if name in contexts.broken and server is not None:
        return contexts.broken[name].rest
    return contexts.named(name) if name in contexts.names else Context()


def _check(name: str, context: Context) -> None:
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"{name!r} is no name for a context: it has no slash, and does not begin with a dot")
    sources = [context.token_file, context.token_command, context.oidc_issuer]
    if sum(map(bool, sources)) > 1:
        raise UsageError("a context has one source of tokens: a file, a command or a sign-in", "'' removes the other.")
    if context.oidc_issuer and not _is_safe_issuer(context.oidc_issuer):
        raise UsageError("the OpenID provider must be an https:// address")
    if bool(context.cert_file) is not bool(context.key_file):
        raise UsageError("a client certificate needs both --cert-file and --key-file")


def _is_safe_issuer(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
        )
    except ValueError:
        return False


@command(app, "delete", connects=False)
def delete(session: Session, name: Name) -> None:  # noqa: ARG001
    """Delete a context, and its sign-in."""
    save_contexts(load_contexts().without(name))
    forget_login(name)
    say(f"deleted the context {name}")


@command(app, "login", connects=False)
def login(session: Session, name: OptionalName = None) -> None:  # noqa: ARG001
    """Sign in at the OpenID provider of a context.

    A browser, on any machine, asks for a code that this command prints (device flow).
    """
    contexts = load_contexts()
    name = name or contexts.current
    if not name:
        raise UsageError("there is no current context", "`configsvc context set NAME --server ADDRESS` makes it.")
    device_login(name, contexts.named(name), say)
    say(f"signed in; {name} has a token now")
