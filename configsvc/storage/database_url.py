"""URLs of databases: how libpq writes them, and what asyncpg is given instead.

libpq's parameters that asyncpg does not know would go to the server as settings, which refuses the connection.
"""

import re
import shlex
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

_HOST = r"(?:[^/?#@:\[\],]*|\[[^/?#@\[\],]+\])(?::\d*)?"
_FORM = re.compile(
    rf"postgres(?:ql)?://(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#@]*))?@)?(?P<hosts>{_HOST}(?:,{_HOST})*)"
    r"(?:/(?P<database>[^?#@]*))?(?:\?(?P<parameters>[^#]*))?"
)
_USERINFO = re.compile(r"(?P<scheme>^[^/?#]*//)?(?P<user>[^/?#@:]*):[^/?#@]*@")
MAX_PORT = 65_535

_TAKEN = frozenset(
    {
        *("host", "port", "dbname", "database", "user", "password", "passfile", "service", "options"),
        *("sslmode", "sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
    }
)
# Hints to libpq or to other drivers. The service has its own time limits and pools.
_IGNORED = frozenset(
    {
        *("application_name", "fallback_application_name", "connect_timeout", "tcp_user_timeout", "sslsni"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "sslcompression"),
        *("load_balance_hosts", "pgbouncer", "connection_limit", "pool_timeout", "supa"),
    }
)
# Values of other parameters that ask for nothing that the service does not do anyway.
_IGNORED_VALUES = {
    "gssencmode": {"disable", "prefer"},
    "gssdelegation": {"0"},
    "channel_binding": {"disable", "prefer"},
    "client_encoding": {"utf8", "utf-8", "unicode", "auto"},
    "sslcertmode": {"disable", "allow"},
    "require_auth": {""},
    "target_session_attrs": {"any"},
    "search_path": {"public"},
    "schema": {"public"},
    "currentSchema": {"public"},
}
_REFUSED = {
    "search_path": "the tables of the service are in the schema public: leave it out",
    "schema": "the tables of the service are in the schema public: leave it out",
    "currentSchema": "the tables of the service are in the schema public: leave it out",
    "client_encoding": "the service reads and writes UTF8: leave it out",
    "gssencmode": "encryption by GSSAPI is not supported: use sslmode=verify-full",
    "target_session_attrs": "the service writes: use primary, read-write or any",
    "channel_binding": (
        "channel binding needs TLS: add sslmode=verify-full, which authenticates the server by its certificate"
    ),
}
_KNOWN = _TAKEN | _IGNORED | _IGNORED_VALUES.keys() | _REFUSED.keys()
_PRIMARY = frozenset({"primary", "read-write"})
_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
_SSL_MODES = frozenset({"disable", "allow", "prefer", *_TLS_MODES})
_FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl")
_SEARCH_PATH_OPTION = re.compile(r"(?:-c\s*|--)search[_-]path\s*=")


class BadDatabaseUrlError(ValueError):
    """A URL that cannot be used. The text says why, and quotes nothing but names and values of known parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    """A checked URL: as asyncpg takes it, the name of its database, and advice for the operator, often none."""

    dsn: str
    parameters: dict[str, str]
    advice: str

    def connect_arguments(self) -> dict[str, Any]:
        """Return arguments of asyncpg.connect. Raises BadDatabaseUrlError if a file that it names cannot be used."""
        if self.parameters.get("sslrootcert") == "system":
            return {"dsn": self.dsn, "ssl": _system_authorities(self.parameters)}
        for name in _FILES:
            _check_readable(name, self.parameters.get(name))
        return {"dsn": self.dsn}


def parse_database_url(url: str) -> DatabaseUrl:
    """Return the URL as asyncpg takes it. Raises BadDatabaseUrlError."""
    match = _FORM.fullmatch(url)
    if not match or _is_part_of_password(match["parameters"] or ""):
        raise BadDatabaseUrlError(
            "must be like postgresql://user:password@host:port/database; write / ? # @ in a password as %2F %3F %23 %40"
        )
    parameters = _parsed(match["parameters"] or "")
    _check_ports(match["hosts"], parameters.get("port"))
    advice = _check(parameters)
    kept = {name: value for name, value in parameters.items() if name in _TAKEN}
    if parameters.get("target_session_attrs") in _PRIMARY:
        # Whatever default_transaction_read_only is for the role: the service sets that itself.
        kept["target_session_attrs"] = "primary"
    passed = {name: value for name, value in kept.items() if (name, value) != ("sslrootcert", "system")}
    return DatabaseUrl(dsn=_dsn(match, passed), parameters=kept, advice=advice)


def connect_arguments(url: str) -> dict[str, Any]:
    """Return arguments of asyncpg.connect for the URL. Raises BadDatabaseUrlError."""
    return parse_database_url(url).connect_arguments()


def redacted_url(url: str) -> str:
    """Return the URL without its passwords, whatever characters they contain; nothing of one that has no such form."""
    match = _FORM.fullmatch(url)
    if not match or _is_part_of_password(match["parameters"] or ""):
        return "postgresql://…"
    before, mark, parameters = url.partition("?")
    shown = [_without_secret(parameter) for parameter in parameters.split("&")]
    return _USERINFO.sub(r"\g<scheme>\g<user>:***@", before) + mark + "&".join(shown)


def _without_secret(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    return f"{name}=***" if value and "password" in unquote(name).lower() else parameter


def _is_part_of_password(query: str) -> bool:
    # After a ? in a password, which is not to be quoted.
    names = (unquote(pair.partition("=")[0]) for pair in query.split("&"))
    return "@" in query and not all(name in _KNOWN for name in names)


def _parsed(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, mark, value = pair.partition("=")
        name = unquote(name)
        if not mark:
            raise BadDatabaseUrlError("a parameter after ? has no value: write it as name=value")
        parameters[name] = unquote(value)
    return parameters


def _check(parameters: dict[str, str]) -> str:
    """Check each parameter, and return advice about what is not done as it says, often none."""
    sslmode = parameters.get("sslmode", "prefer")
    if sslmode not in _SSL_MODES:
        raise BadDatabaseUrlError(f"sslmode must be one of {', '.join(sorted(_SSL_MODES))}")
    if parameters.get("sslrootcert") == "system" and parameters.get("sslmode", "verify-full") != "verify-full":
        raise BadDatabaseUrlError("sslrootcert=system requires sslmode=verify-full")
    advice = ""
    for name, value in parameters.items():
        if name == "options" and _SEARCH_PATH_OPTION.search(value):
            raise BadDatabaseUrlError(f"options sets search_path: {_REFUSED['search_path']}")
        if name == "channel_binding" and value == "require" and sslmode in _TLS_MODES:
            if sslmode != "verify-full":
                advice = (
                    "channel_binding=require is not supported and was ignored: set sslmode=verify-full and "
                    "sslrootcert, which keep impostors away"
                )
        elif not _is_harmless(name, value):
            raise BadDatabaseUrlError(_refusal(name))
    return advice


def _is_harmless(name: str, value: str) -> bool:
    if name in _TAKEN or name in _IGNORED:
        return True
    if name == "target_session_attrs" and value in _PRIMARY:
        return True
    values = _IGNORED_VALUES.get(name, set())
    return value in values or value.lower() in values


def _refusal(name: str) -> str:
    if name in _REFUSED:
        return f"the parameter {name} cannot be used so: {_REFUSED[name]}"
    if name in _IGNORED_VALUES:
        return f"the parameter {name} is not supported with this value: leave it out"
    return f"the parameter {name!r} is unknown: leave it out"


def _check_ports(hosts: str, ports: str | None) -> None:
    found = [host.rpartition(":")[2] for host in re.sub(r"\[[^\]]*\]", "", hosts).split(",") if ":" in host]
    for port in (*found, *(ports.split(",") if ports else ())):
        if port and not (port.isascii() and port.isdecimal() and 0 < int(port) <= MAX_PORT):
            raise BadDatabaseUrlError(f"the port must be a number from 1 to {MAX_PORT}")


def _dsn(match: re.Match[str], parameters: dict[str, str]) -> str:
    user, password = match["user"], match["password"]
    login = "" if user is None else quote(unquote(user), safe="")
    if password:
        login += ":" + quote(unquote(password), safe="")
    at = "@" if user is not None else ""
    database = f"/{quote(unquote(match['database']), safe='')}" if match["database"] else ""
    hosts = ",".join(host.removesuffix(":") for host in match["hosts"].split(","))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items() if value)
    return f"postgresql://{login}{at}{hosts}{database}" + (f"?{query}" if query else "")


def _check_readable(name: str, file: str | None) -> None:
    if not file:
        return
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise BadDatabaseUrlError(
            f"the file of {name}, {shlex.quote(file)}, cannot be read: {error.strerror}"
        ) from error


def _system_authorities(parameters: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    certificate = parameters.get("sslcert")
    if certificate:
        _check_readable("sslcert", certificate)
        context.load_cert_chain(certificate, parameters.get("sslkey"), parameters.get("sslpassword"))
    return context
