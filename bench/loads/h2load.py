"""h2load: more calls than one client can make."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.loads.http2 import enveloped
from bench.loads.load import Done
from bench.loads.messages import Call
from bench.peers.programs import output_of, program
from bench.peers.provider import HEADER

CONNECTIONS, STREAMS = 8, 16
# One request at a time on each.
HTTP1_CONNECTIONS = 64
# A shorter run may end before the first answer, on a busy machine.
LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class H2load:
    """One call that CONNECTIONS * STREAMS callers repeat, with an authorization unless it is empty."""

    url: str
    body: Path
    authorization: str

    @classmethod
    def of(cls, folder: Path, address: str, call: Call, authorization: str = "") -> Self:
        """Return the load of a call, and store its request in the folder."""
        body = folder / f"body-{address}.bin"
        body.write_bytes(enveloped(call.request))
        return cls(url=f"http://{address}{call.path}", body=body, authorization=authorization)

    async def run(self, seconds: float) -> str:
        """Run for a number of seconds and return the output of h2load. Raises RuntimeError if it fails."""
        load = ["-c", str(CONNECTIONS), "-m", str(STREAMS), "-D", _duration(seconds), "-d", str(self.body)]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        if self.authorization:
            headers += ["-H", f"{HEADER}: {self.authorization}"]
        return await output_of(program("h2load"), *load, *headers, self.url)

    async def checked(self, answer_bytes: int, seconds: float) -> Done:
        """Run for a number of seconds. Raises RuntimeError if an answer has another length."""
        return _done(await self.run(seconds), answer_bytes)


async def http1(url: str, answer_bytes: int, seconds: float, *headers: str) -> Done:
    """Repeat a GET over HTTP/1.1 for a number of seconds. Raises RuntimeError if an answer has another length."""
    load = ["--h1", "-c", str(HTTP1_CONNECTIONS), "-D", _duration(seconds)]
    named = [part for header in headers for part in ("-H", header)]
    return _done(await output_of(program("h2load"), *load, *named, url), answer_bytes)


def _duration(seconds: float) -> str:
    return f"{max(seconds, LEAST_SECONDS) * 1000:.0f}ms"


def _done(printed: str, answer_bytes: int) -> Done:
    """Return the number of calls that h2load printed. Raises RuntimeError unless every answer has its full length."""
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", printed)
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", printed)
    data = re.search(r"\((\d+)\) data", printed)
    if not (rate and requests and data):
        raise RuntimeError(f"unexpected output of h2load: {printed}")
    succeeded, failed, errored = map(int, requests.groups())
    # h2load also counts the bytes of answers that were incomplete at the end.
    incomplete = int(data[1]) / answer_bytes - succeeded
    if not succeeded or failed or errored or not 0 <= incomplete <= CONNECTIONS * STREAMS:
        raise RuntimeError(f"failed or incomplete answers under h2load: {printed}")
    return Done(count=succeeded, seconds=succeeded / float(rate[1]))
