"""Messages of gRPC within the body of a stream: each has a prefix of five bytes, with a flag and its length."""

import zlib

from google.rpc.code_pb2 import Code

from configsvc.domain.sizes import MAX_REQUEST_BYTES
from configsvc.http2.refusals import RefusedError

PREFIX_BYTES = 5
_PLAIN = b"\0"
_COMPRESSED = b"\1"
_GZIP = 31


def framed(*pieces: bytes) -> bytes:
    """Return a message with its prefix."""
    return b"".join((_PLAIN, sum(map(len, pieces)).to_bytes(4), *pieces))


def framed_gzip(*pieces: bytes) -> bytes:
    """Return a message, compressed, with its prefix. It takes some 6 ms for 256 KiB."""
    compressor = zlib.compressobj(1, wbits=_GZIP)
    data = b"".join((*map(compressor.compress, pieces), compressor.flush()))
    return b"".join((_COMPRESSED, len(data).to_bytes(4), data))


class MessageReader:
    """The messages of one stream of requests, from the pieces of its body. `encoding` is what the headers name."""

    __slots__ = ("_buffer", "_encoding")

    def __init__(self, encoding: bytes) -> None:
        self._buffer = bytearray()
        self._encoding = encoding

    def add(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """True if no message has begun."""
        return not self._buffer

    def message(self) -> bytes | None:
        """Return the next message if it is whole. Raises RefusedError, also if one that begins is too large."""
        buffer = self._buffer
        if len(buffer) < PREFIX_BYTES:
            return None
        size = int.from_bytes(buffer[1:PREFIX_BYTES])
        check_size(size)
        end = PREFIX_BYTES + size
        if len(buffer) < end:
            return None
        flag, data = buffer[0], bytes(memoryview(buffer)[PREFIX_BYTES:end])
        del buffer[:end]
        return data if flag == 0 else self._uncompressed(flag, data)

    def _uncompressed(self, flag: int, data: bytes) -> bytes:
        if flag != 1:
            raise RefusedError(
                Code.INTERNAL, f"the flag of a message is {flag}: it must be 0, or 1 if it is compressed"
            )
        if self._encoding != b"gzip":
            name = self._encoding.decode("latin-1") or "identity"
            raise RefusedError(Code.INTERNAL, f"a message is compressed, but grpc-encoding is {name}")
        return _unzipped(data)


def check_size(size: int) -> None:
    """Check the size of a message before it is received. Raises RefusedError."""
    if size > MAX_REQUEST_BYTES:
        text = f"Received message larger than max ({size} vs. {MAX_REQUEST_BYTES})"
        raise RefusedError(Code.RESOURCE_EXHAUSTED, text)


def _unzipped(data: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=_GZIP)
    try:
        found = decompressor.decompress(data, MAX_REQUEST_BYTES + 1)
    except zlib.error as error:
        raise RefusedError(Code.INTERNAL, "a message is not valid gzip") from error
    if len(found) > MAX_REQUEST_BYTES:
        text = f"Received message larger than max (decompressed, {MAX_REQUEST_BYTES})"
        raise RefusedError(Code.RESOURCE_EXHAUSTED, text)
    # What follows the compressed data would be lost without a word.
    if not decompressor.eof or decompressor.unused_data:
        raise RefusedError(Code.INTERNAL, "a message is not valid gzip")
    return found
