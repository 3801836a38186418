"""URLs of Redis servers."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

DEFAULT_PORT = 6379
MAX_PORT = 65_535

_LOGIN = r"(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#@]*))?@)?"
_SERVER = re.compile(
    rf"(?P<scheme>rediss?)://{_LOGIN}(?P<host>[^/?#@:\[\]]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{{1,5}}))?"
    r"(?:/(?P<database>\d{0,9}))?(?:\?(?P<parameters>[^#@]*))?"
)
_SOCKET = re.compile(rf"(?P<scheme>unix)://{_LOGIN}(?P<path>/[^?#@]+)(?:\?(?P<parameters>[^#@]*))?")
_TLS_PARAMETERS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_FORMS = (
    "must be like redis://user:password@host:6379/0, rediss://… for TLS, or unix:///run/redis.sock?db=0; "
    "write / ? # @ : in a password as %2F %3F %23 %40 %3A"
)


class BadRedisUrlError(ValueError):
    """A URL that cannot be used. The text says why, and quotes nothing but names of known parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """A checked URL. path: of a unix socket; empty for a host. files: PEM files for TLS, by parameter."""

    host: str
    port: int
    path: str
    database: int
    user: str
    password: str
    uses_tls: bool
    files: dict[str, str]

    @property
    def place(self) -> str:
        """The place of the server, without credentials."""
        return self.path or f"{self.host}:{self.port}"


def parse_redis_url(url: str) -> RedisUrl:
    """Return the parts of the URL. Raises BadRedisUrlError."""
    match = _SERVER.fullmatch(url) or _SOCKET.fullmatch(url)
    if not match:
        raise BadRedisUrlError(_FORMS)
    parts = match.groupdict()
    uses_tls = parts["scheme"] == "rediss"
    parameters = _parameters(parts["parameters"] or "", uses_tls=uses_tls, has_path="path" in parts)
    port = int(parts.get("port") or DEFAULT_PORT)
    if not 0 < port <= MAX_PORT:
        raise BadRedisUrlError(f"the port must be a number from 1 to {MAX_PORT}")
    return RedisUrl(
        host=(parts.get("host") or "").strip("[]"),
        port=port,
        path=unquote(parts.get("path") or ""),
        database=_database(parameters.pop("db", None) or parts.get("database") or "0"),
        user=unquote(parts["user"] or ""),
        password=unquote(parts["password"] or ""),
        uses_tls=uses_tls,
        files=parameters,
    )


def _parameters(text: str, *, uses_tls: bool, has_path: bool) -> dict[str, str]:
    known = _TLS_PARAMETERS if uses_tls else frozenset({"db"}) if has_path else frozenset[str]()
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    if not parameters.keys() <= known:
        allowed = f": it can have {', '.join(sorted(known))}" if known else ""
        raise BadRedisUrlError(f"has a parameter that this kind of URL cannot have{allowed}")
    return parameters


def _database(number: str) -> int:
    if not (number.isascii() and number.isdecimal()):
        raise BadRedisUrlError("the database must be a number")
    return int(number)
