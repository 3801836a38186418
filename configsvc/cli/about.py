"""The commands status and whoami."""

from configsvc.cli import pb
from configsvc.cli.output import Format, print_pairs, write
from configsvc.cli.plain import plain, time_text, word
from configsvc.cli.session import Session


def print_status(session: Session) -> None:
    """Print the status of the server."""
    calls = session.connection
    found = calls.call(calls.server.GetServerStatus, pb.GetServerStatusRequest())
    if session.structured:
        session.print_value({"server": calls.context.server, **plain(found)})
    elif session.output is Format.NAME:
        write(calls.context.server)
    else:
        print_pairs(
            (
                ("server", calls.context.server),
                ("version", found.version),
                ("live", "yes" if found.live else "no: it does not receive new commits now"),
                ("feed lag", f"{found.feed_lag.ToMilliseconds() / 1000:g} s"),
                (
                    "head revision",
                    _head(found),
                ),
                ("delivered revision", found.revision),
                ("first kept revision", found.compacted_revision or "1: the whole history"),
                ("epoch", found.epoch),
                ("workers", found.worker_count or "unknown: the server is older than this program"),
                ("server time", time_text(found.server_time)),
            )
        )


def _head(found: "pb.GetServerStatusResponse") -> str:
    if found.head_revision or found.live:
        return str(found.head_revision)
    return "unknown: the database does not respond"


def print_caller(session: Session) -> None:
    """Print who the caller is, and its roles."""
    calls = session.connection
    found = calls.call(calls.access.GetCaller, pb.GetCallerRequest())
    if session.structured:
        session.print_value(plain(found))
    elif session.output is Format.NAME:
        write(found.principal)
    else:
        print_pairs(_caller(found))


def _caller(found: "pb.GetCallerResponse") -> "list[tuple[str, object]]":
    authentication = pb.Authentication.Name(found.authentication)
    roles = [f"{word(pb.Role.Name(role.role))} of {role.application}" for role in found.application_roles]
    if found.role:
        roles.insert(0, f"{word(pb.Role.Name(found.role))} of all applications")
    if found.more_application_roles:
        roles.append("and more")
    return [
        ("principal", found.principal),
        ("groups", ", ".join(found.groups)),
        ("authentication", word(authentication)),
        ("token expires", time_text(found.expire_time)),
        ("roles", ", ".join(roles) or "none: ask an admin for a role"),
    ]
