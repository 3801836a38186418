"""A connection of the server and the session of a client, joined without a socket."""

import asyncio
from collections.abc import Iterable
from typing import Any

import ngh2

from configsvc.api.exchanges import Handler
from configsvc.domain.peers import trusted_proxies
from configsvc.http2.callers import CallerReader, Peer
from configsvc.http2.connections import Calls, Connection, Framer
from configsvc.http2.deadlines import Deadlines
from configsvc.http2.framing import framed
from configsvc.identity.authenticator import Authenticator

PATH = "/test.Service/Method"
WINDOW = 65_535


class Pair:
    """Both ends. `sent` has what the client has received of each stream, `events` all of its events."""

    def __init__(self, handler: Handler, *, window: int = WINDOW) -> None:
        self.client = ngh2.Connection(ngh2.Role.CLIENT)
        self.client.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: window})
        self.events: list[ngh2.Event] = []
        self.wakes = 0
        calls = Calls(
            handlers={PATH.encode(): handler},
            callers=CallerReader(Authenticator(None, None), trusted_proxies("")),
            framer=Framer(),
            deadlines=Deadlines(),
        )
        peer = Peer(address="ipv4:192.0.2.1:1", certificate=None)
        self.server = Connection(calls, peer, self._wake, asyncio.get_running_loop())

    def _wake(self) -> None:
        self.wakes += 1

    def call(self, *messages: bytes, end: bool = True, headers: Iterable[tuple[str, str]] = ()) -> int:
        """Queue a call of the client, and return the number of its stream."""
        named = {":method": "POST", ":scheme": "http", ":path": PATH, ":authority": "localhost", "te": "trailers"}
        all_headers = [*named.items(), ("content-type", "application/grpc"), *headers]
        number = self.client.send_request([(name.encode(), value.encode()) for name, value in all_headers])
        for message in messages:
            self.client.send_data(number, framed(message))
        if end:
            self.client.end_stream(number)
        return number

    def to_server(self) -> None:
        """Let everything that the client has queued arrive in one batch."""
        if data := self.client.data_to_send():
            self.server.receive(data)

    def to_client(self) -> bytes:
        """Let one output of the server arrive."""
        data = self.server.output()
        if data:
            self.client.receive_data(data)
            self.events += self.client.events()
        return data

    async def settle(self) -> None:
        """Exchange what there is until nothing is left."""
        for _ in range(4):
            self.to_server()
            # The tasks of calls take their steps.
            for _ in range(3):
                await asyncio.sleep(0)
            while self.to_client():
                pass

    def status(self, number: int) -> int | None:
        """Return the status with which a call has ended; None if it has not."""
        for event in self.events:
            ended: Any = event
            if isinstance(event, ngh2.TrailersReceived | ngh2.ResponseReceived) and ended.stream_id == number:
                found = dict(ended.headers).get(b"grpc-status")
                if found is not None:
                    return int(found)
        return None

    def data(self, number: int) -> bytes:
        """Return the body of an answer so far."""
        pieces = [one.data for one in self.events if isinstance(one, ngh2.DataReceived) and one.stream_id == number]
        return b"".join(pieces)

    def is_reset(self, number: int) -> bool:
        """Return whether the server has reset a stream with an error."""
        resets = [one for one in self.events if isinstance(one, ngh2.StreamReset)]
        return any(one.stream_id == number and one.error_code for one in resets)
