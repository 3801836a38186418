"""Compression of answers: gzip for clients that offer it, if it is worth the time that it takes of other calls.

gRPC compresses where a message is sent, on the event loop. It knows which algorithms a client offers, and handlers do
not: so it compresses everything that a handler does not exempt.
"""

from collections.abc import Awaitable

from configsvc.api.methods import Write
from configsvc.rpc.credentials import Context

# Of what the client offers, gzip rather than deflate.
OPTION = ("grpc.default_compression_level", 1)
# What TCP sends at once on a new connection: a smaller answer would not arrive earlier.
LEAST_BYTES = 16 * 1024
# It takes some 6 ms, for which all other calls wait. Clients that want more compressed ask for smaller pages.
MOST_BYTES = 256 * 1024


def exempt(context: Context, message: bytes) -> None:
    """Keep gRPC from compressing the next message, unless that is worth it."""
    if not LEAST_BYTES <= len(message) <= MOST_BYTES:
        context.disable_next_message_compression()


def uncompressed(context: Context) -> Write:
    """Return a function that writes messages as they are.

    All watches that are alike share the bytes of a message, but each would compress them anew; and messages of exports
    are larger than MOST_BYTES.
    """
    write, disable = context.write, context.disable_next_message_compression

    def write_uncompressed(message: bytes) -> Awaitable[None]:
        disable()
        return write(message)

    return write_uncompressed
