"""Entries of the second level: an answer, and the commit at which it was true."""

import struct
from dataclasses import dataclass
from zlib import crc32

from configsvc.configurations.cache import Answer
from configsvc.domain.models import ConfigurationRef, IdRef

# Processes share entries of one format only. Count on with every change of the encoding, and of what is encoded.
FORMAT = 1

_HEADER = struct.Struct(">BIQ16sHHHH")
_CHECKED_FROM = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """An answer that was true at a revision. `identity` is that of the commit which took it."""

    revision: int
    identity: bytes
    answer: Answer


def entry_key(epoch: str, ref: ConfigurationRef, *, as_text: bool) -> bytes:
    """Return the key of an entry: a configuration has one for each form of its content and each way to refer to it."""
    kind = "id" if isinstance(ref, IdRef) else "key"
    form = "text" if as_text else "struct"
    return f"configsvc:{FORMAT}:{epoch}:{form}:{kind}:{ref}".encode()


def encoded_entry(key: bytes, entry: Entry) -> bytes:
    answer = entry.answer
    encoded = answer.struct if answer.text is None else answer.text
    assert encoded is not None
    texts = [text.encode() for text in (answer.id, answer.application_id, answer.application, answer.name)]
    header = _HEADER.pack(FORMAT, 0, entry.revision, entry.identity, *map(len, texts))
    checked = b"".join((header[_CHECKED_FROM:], *texts, encoded))
    return b"".join((header[:1], _checksum(key, checked).to_bytes(4), checked))


def decoded_entry(key: bytes, ref: ConfigurationRef, value: bytes, *, as_text: bool) -> Entry | None:
    """Return the entry of a configuration from the value of its key, or None if it is not one."""
    if len(value) < _HEADER.size:
        return None
    form, checksum, revision, identity, *lengths = _HEADER.unpack_from(value)
    # A view, as contents can be long.
    if form != FORMAT or checksum != _checksum(key, memoryview(value)[_CHECKED_FROM:]):
        return None
    texts: list[str] = []
    place = _HEADER.size
    try:
        for length in lengths:
            texts.append(value[place : place + length].decode())
            place += length
    except UnicodeDecodeError:
        return None
    configuration_id, application_id, application, name = texts
    answer = Answer(
        id=configuration_id,
        application_id=application_id,
        application=application,
        name=name,
        text=value[place:] if as_text else None,
        struct=None if as_text else value[place:],
        shown_revision=revision,
    )
    return Entry(revision=revision, identity=identity, answer=answer) if _is_about(answer, ref) else None


def _checksum(key: bytes, checked: bytes | memoryview) -> int:
    # With the key: a reply to another question has a checksum of its own.
    return crc32(checked, crc32(key))


def _is_about(answer: Answer, ref: ConfigurationRef) -> bool:
    if isinstance(ref, IdRef):
        return answer.id == ref.id
    return (answer.application, answer.name) == (ref.application, ref.name)
