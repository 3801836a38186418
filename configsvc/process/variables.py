"""Variables named CONFIGSVC_*, of the environment and of .env, that set nothing: empty ones and unknown ones."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import structlog
from pydantic_settings import DotEnvSettingsSource

from configsvc.process.settings import ENV_FILE, PREFIX, Settings

log = structlog.get_logger()

SETTINGS = frozenset(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)
# Read by the tests and the benchmarks of this project.
TOOLS = frozenset(
    f"{PREFIX}{name}"
    for name in ("CONFORMANCE", "EXAMPLES", "ROBUSTNESS", "ROBUSTNESS_SEED", "TEST_POSTGRES_BIN", "TEST_TRANSPORT")
)

# Read by the client commands, on the same machine.
CLIENT = frozenset(f"{PREFIX}{name}" for name in ("CONTEXT", "DEBUG", "INSTANCE", "SERVER"))

# Kubernetes describes each service in such variables to the pods of its namespace. For one named configsvc, or
# configsvc-headless, they begin like ours.
_INJECTED = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_PORT = re.compile(r"(\w+_)?PORT")
_PORT_URL = re.compile(r"(tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable, as it is written, and the place where it is set."""

    name: str
    value: str
    source: str


def take_empty_variables() -> list[Variable]:
    """Remove the empty variables of settings from the environment, so that they count as unset, and return them."""
    empty = list(filter(_is_empty, _ours(os.environ, "environment")))
    for variable in empty:
        del os.environ[variable.name]
    return empty


def warn_of_ineffective_variables(empty: Iterable[Variable]) -> None:
    """Log each of these empty variables, each empty one in .env, and each that no setting has."""
    lines = DotEnvSettingsSource(Settings, case_sensitive=True, env_ignore_empty=False).env_vars
    in_file = list(_ours(lines, ENV_FILE))
    for variable in (*empty, *filter(_is_empty, in_file)):
        log.warning("empty variable: treated as unset", variable=variable.name, source=variable.source)
    for variable in filter(_is_unknown, (*_ours(os.environ, "environment"), *in_file)):
        suggestion = _suggestion(variable.name.upper().removeprefix(PREFIX))
        log.warning("unknown variable: ignored", variable=variable.name, source=variable.source, **suggestion)


def _suggestion(name: str) -> dict[str, str]:
    # Without the prefix, which makes all names similar.
    similar = get_close_matches(name, (setting.removeprefix(PREFIX) for setting in SETTINGS), n=1, cutoff=0.7)
    return {"did_you_mean": f"{PREFIX}{similar[0]}"} if similar else {}


def _ours(values: Mapping[str, str | None], source: str) -> Iterator[Variable]:
    for name, value in values.items():
        if name.upper().startswith(PREFIX):
            yield Variable(name=name, value=value or "", source=source)


def _is_empty(variable: Variable) -> bool:
    return variable.name.upper() in SETTINGS and not variable.value.strip()


def _is_unknown(variable: Variable) -> bool:
    return variable.name.upper() not in SETTINGS | TOOLS | CLIENT and not _is_injected(variable)


def _is_injected(variable: Variable) -> bool:
    name = variable.name.removeprefix(PREFIX)
    return bool(_INJECTED.fullmatch(name) or (_PORT.fullmatch(name) and _PORT_URL.fullmatch(variable.value)))
