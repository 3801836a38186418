"""The rules for names, ids, request ids, comments and reasons."""

import re
from uuid import UUID

from configsvc.domain.errors import Violations

MAX_NAME_LENGTH = 256
MAX_COMMENTS_LENGTH = 1024
MAX_REASON_LENGTH = 1024
ULID_LENGTH = 26

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_CONFIGURATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)
_NAME_CHARACTERS = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


def check_name(name: str, field: str, violations: Violations) -> None:
    """Add a fault if a name is not valid for an application or a schema."""
    fault = _length_fault(name)
    if not fault and not _NAME.fullmatch(name):
        fault = "must begin with a letter or digit and contain only A-Z a-z 0-9 . _ -"
        if _CONFIGURATION_NAME.fullmatch(name):
            fault += " (only names of configurations can contain /)"
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
        return "must begin with a letter or digit and contain only A-Z a-z 0-9 . _ - /"
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        return 'must not have an empty, "." or ".." segment'
    return None


def check_name_prefix(prefix: str, field: str, violations: Violations) -> None:
    """Add a fault if no name can begin with a name_prefix."""
    if len(prefix) > MAX_NAME_LENGTH:
        violations.add(field, f"has {len(prefix)} characters: at most {MAX_NAME_LENGTH} are allowed")
    elif not _NAME_CHARACTERS.fullmatch(prefix):
        violations.add(field, "must contain only the characters of names: A-Z a-z 0-9 . _ - /")


def check_id(value: str, field: str, violations: Violations) -> None:
    """Add a fault unless a value is a ULID in canonical form."""
    if not _ULID.fullmatch(value):
        violations.add(field, "must be a ULID: 26 uppercase characters of Crockford's base 32")


def canonical_request_id(value: str, field: str, violations: Violations) -> str:
    """Return a request id in canonical form. Add a fault unless it is empty, a UUID or a ULID."""
    if value and not _ULID.fullmatch(value) and not _is_uuid(value):
        violations.add(field, "must be a UUID or a ULID")
    return value.upper() if len(value) == ULID_LENGTH else value.lower()


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def check_text(text: str, field: str, limit: int, violations: Violations) -> None:
    """Add a fault if a free text is too long, or has a character that PostgreSQL cannot store."""
    if len(text) > limit:
        violations.add(field, f"has {len(text)} characters: at most {limit} are allowed")
    if "\0" in text:
        violations.add(field, "must not contain the character U+0000")
