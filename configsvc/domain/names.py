"""The rules for names, ids, request ids, comments and reasons."""

import re
from uuid import UUID

from configsvc.domain.content import encode_json
from configsvc.domain.errors import Violations

MAX_NAME_LENGTH = 256
MAX_CHANGE_REQUEST_LENGTH = 256
MAX_COMMENTS_LENGTH = 1024
MAX_REASON_LENGTH = 1024
ULID_LENGTH = 26

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_CONFIGURATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)
_NAME_CHARACTERS = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)
_CHANGE_REQUEST = re.compile(rf"[ -~]{{0,{MAX_CHANGE_REQUEST_LENGTH}}}")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


def check_name(name: str, field: str, violations: Violations) -> None:
    """Add a fault if a name is not valid for an application or a schema."""
    fault = _length_fault(name)
    if not fault and not _NAME.fullmatch(name):
        misfit = (
            "contains /, as only names of configurations can" if _CONFIGURATION_NAME.fullmatch(name) else _misfit(name)
        )
        fault = f"{misfit}: a name begins with a letter or digit and contains only A-Z a-z 0-9 . _ -"
    if fault:
        violations.add(field, fault)


def check_configuration_name(name: str, field: str, violations: Violations) -> None:
    """Add a fault if a name is not valid for a configuration."""
    fault = _length_fault(name) or _configuration_name_fault(name)
    if fault:
        violations.add(field, fault)


def _length_fault(name: str) -> str | None:
    if not name:
        return "is required"
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters: at most {MAX_NAME_LENGTH} are allowed"
    return None


def _configuration_name_fault(name: str) -> str | None:
    if not _CONFIGURATION_NAME.fullmatch(name):
        return f"{_misfit(name)}: a name begins with a letter or digit and contains only A-Z a-z 0-9 . _ - /"
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        return 'must not have an empty, "." or ".." segment'
    return None


def _misfit(name: str) -> str:
    """Return which character keeps a text from being a name."""
    match = _NAME_CHARACTERS.match(name)
    known = match.end() if match else 0
    if known == len(name):
        return f"begins with {encode_json(name[0])}"
    return f"has {encode_json(name[known])} as character {known + 1}"


def check_name_prefix(prefix: str, field: str, violations: Violations) -> None:
    """Add a fault if no name can begin with a name_prefix."""
    if len(prefix) > MAX_NAME_LENGTH:
        violations.add(field, f"has {len(prefix)} characters: at most {MAX_NAME_LENGTH} are allowed")
    elif not _NAME_CHARACTERS.fullmatch(prefix):
        violations.add(field, f"{_misfit(prefix)}: names contain only A-Z a-z 0-9 . _ - /")


def check_id(value: str, field: str, violations: Violations) -> None:
    """Add a fault unless a value is a ULID in canonical form."""
    if not _ULID.fullmatch(value):
        violations.add(field, _id_fault(value))


def _id_fault(value: str) -> str:
    if not value:
        return "is required"
    if _ULID.fullmatch(value.upper()):
        return f"must be in upper case: {value.upper()}"
    if len(value) != ULID_LENGTH:
        return f"has {len(value)} characters: an id is a ULID, which has {ULID_LENGTH}, not a name"
    return "is not an id: a ULID contains only 0-9 and A-Z without I, L, O and U, and begins with 0 to 7"


def canonical_request_id(value: str, field: str, violations: Violations) -> str:
    """Return a request id in canonical form. Add a fault unless it is empty, a UUID or a ULID."""
    if value and not _ULID.fullmatch(value) and not _is_uuid(value):
        violations.add(field, "must be a UUID with hyphens or a ULID, or be left out")
    return value.upper() if len(value) == ULID_LENGTH else value.lower()


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def check_change_request(value: str, field: str, violations: Violations) -> None:
    """Add a fault unless a change request is empty or short printable ASCII, as it must fit into metadata."""
    if not _CHANGE_REQUEST.fullmatch(value):
        violations.add(field, f"must have at most {MAX_CHANGE_REQUEST_LENGTH} printable ASCII characters")


def check_text(text: str, field: str, limit: int, violations: Violations) -> None:
    """Add a fault if a free text is too long, or has a character that PostgreSQL cannot store."""
    if len(text) > limit:
        violations.add(field, f"has {len(text)} characters: at most {limit} are allowed")
    if "\0" in text:
        violations.add(field, "must not contain the character U+0000")
