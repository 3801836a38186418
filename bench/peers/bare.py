"""The limit: a handler under grpc.aio and uvloop that does no work. Run as `bench.peers.bare ADDRESS FILE`."""

import asyncio
import sys
from pathlib import Path

import grpc
import uvloop

NAME = "bench.Bare"
GET, WATCH, PUBLISH = (f"/{NAME}/{method}" for method in ("Get", "Watch", "Publish"))

Context = grpc.aio.ServicerContext[bytes, bytes]


class Bare:
    """A servicer that answers with prepared bytes, and sends published bytes to each stream."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._published: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def get(self, _request: bytes, _context: Context) -> bytes:
        return self._answer

    async def watch(self, _request: bytes, context: Context) -> None:
        published = self._published
        await context.write(self._answer)
        while True:
            message = await asyncio.shield(published)
            published = self._published
            await context.write(message)

    async def publish(self, request: bytes, _context: Context) -> bytes:
        published, self._published = self._published, asyncio.get_running_loop().create_future()
        published.set_result(request)
        return b""


async def main(address: str, answer: bytes) -> None:
    bare = Bare(answer)
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Get": grpc.unary_unary_rpc_method_handler(bare.get),
        "Watch": grpc.unary_stream_rpc_method_handler(bare.watch),
        "Publish": grpc.unary_unary_rpc_method_handler(bare.publish),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
