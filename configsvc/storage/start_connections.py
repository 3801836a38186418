"""Connections of the start and of migrations: each failure becomes one sentence for the operator."""

import socket
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from configsvc.storage.database import translated_errors
from configsvc.storage.database_url import BadDatabaseUrlError
from configsvc.storage.session_settings import COMMON_SETTINGS
from configsvc.storage.sessions import CONNECT_TIMEOUT_SECONDS, ReplicaError, Session, SessionRefusedError, open_session

# Migrations may take long, and wait long for their turn.
MIGRATION_SETTINGS = COMMON_SETTINGS | {"statement_timeout": "0", "lock_timeout": "0"}

TRANSACTION_POOLER = (
    "the connection goes through a pooler in transaction mode, where neither settings nor LISTEN last: set the pooler "
    "to session mode (pool_mode = session), or connect without it"
)

# asyncpg says so in text alone.
_TLS_REFUSED = "rejected SSL upgrade"

# The first that fits. Sentences of the server come before them.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (asyncpg.InvalidPasswordError, "correct the user and the password in the URL"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "correct the user, the database and sslmode in the URL, or let pg_hba.conf of the server admit them",
    ),
    (asyncpg.InvalidCatalogNameError, "create it (CREATE DATABASE … ENCODING 'UTF8'), or correct the URL"),
    (asyncpg.TooManyConnectionsError, "raise max_connections of the server, or run fewer processes"),
    (
        asyncpg.InsufficientPrivilegeError,
        "migrate as the owner of the database, or GRANT CREATE ON SCHEMA public; for the rest, CONFIGSVC_SERVICE_ROLE",
    ),
    (ReplicaError, "use the primary in the URL, or promote this server"),
    (ConnectionRefusedError, "start PostgreSQL, or correct host and port in the URL"),
    (socket.gaierror, "correct the host in the URL"),
    (FileNotFoundError, "start PostgreSQL, or correct the folder of its socket in the URL"),
    (TimeoutError, "check host and port in the URL, and firewalls on the way"),
    (ssl.SSLCertVerificationError, "correct the host and sslrootcert in the URL"),
    (ssl.SSLError, "correct sslmode and the certificates in the URL"),
    (asyncpg.TargetServerAttributeNotMatched, "none of the servers in the URL is the primary: correct the hosts"),
    (asyncpg.ClientConfigurationError, "correct the URL (sslrootcert=system: the authorities of this machine)"),
    (asyncpg.PostgresConnectionError, "check that host and port in the URL are those of a PostgreSQL server"),
)
# Also a pooler's, which lost a statement or refuses a transaction.
_PERHAPS = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.PostgresConnectionError,
    ssl.SSLError,
    ConnectionError,
)
# The server, or the URL, has to be changed.
_REFUSALS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
    asyncpg.UnsupportedClientFeatureError,
    SessionRefusedError,
    BadDatabaseUrlError,
)


class DatabaseRefusedError(Exception):
    """A failure that retrying does not cure, such as a wrong password or a failing migration."""


@asynccontextmanager
async def connected(url: str, settings: dict[str, str] = MIGRATION_SETTINGS) -> AsyncGenerator[Session]:
    """Yield a connection with these settings.

    Raises DatabaseUnavailableError, WriteConflictError and DatabaseRefusedError.
    """
    try:
        with translated_errors():
            connection = await _opened(url, settings)
            try:
                with _refused_if_final():
                    yield connection
            finally:
                await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
    except asyncpg.PostgresError as error:
        # Whatever else the server refuses, such as a setting in `options`.
        raise DatabaseRefusedError(explained(error)) from error


async def _opened(url: str, settings: dict[str, str]) -> Session:
    try:
        with _refused_if_final():
            return await open_session(url, settings, command_timeout=None)
    except (ValueError, LookupError, TypeError, OverflowError, AttributeError) as error:
        # Raised by asyncpg for values of the URL or of PG… variables; the text may quote a password.
        raise DatabaseRefusedError("its URL, or a PG… variable, cannot be used: correct its values") from error


@contextmanager
def _refused_if_final() -> Generator[None]:
    """Tell failures that retrying does not cure from those that may pass."""
    try:
        yield
    except (*_REFUSALS, *_PERHAPS) as error:
        if isinstance(error, _PERHAPS) and not _is_final(error):
            raise
        raise DatabaseRefusedError(explained(error)) from error


def _is_final(error: Exception) -> bool:
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return _TLS_REFUSED in str(error) or _is_poolers(error)


def _is_poolers(error: BaseException) -> bool:
    lost = isinstance(error, asyncpg.DuplicatePreparedStatementError | asyncpg.InvalidSQLStatementNameError)
    return lost or (isinstance(error, asyncpg.PostgresConnectionError) and "pooling mode" in str(error))


def explained(error: BaseException | None) -> str:
    """Return one sentence: what failed, and what to do about it. Quotes neither statements nor passwords."""
    if error is None:
        return "it does not answer"
    said = " ".join(_text_of(error).split())
    if _TLS_REFUSED in said:
        return "the server does not offer TLS: turn it on there, or set sslmode=prefer in the URL"
    if _is_poolers(error):
        return TRANSACTION_POOLER
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
    return f"{said}: {advice}" if advice else said


def _text_of(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        # Without details and hints, which may quote contents.
        return str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted ({error.verify_message})"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # The first line: others are hints of asyncpg.
    return str(error).partition("\n")[0] or type(error).__name__
