"""h2load: more calls than one client can make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.loads.http2 import enveloped
from bench.loads.messages import Call
from bench.peers import servers
from bench.peers.provider import HEADER
from bench.plan import output_of

CONNECTIONS, STREAMS = 8, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One call, made again and again by CONNECTIONS * STREAMS callers; with an authorization, where there is one."""

    url: str
    body: Path
    authorization: str

    @classmethod
    def of(cls, folder: Path, address: str, call: Call, authorization: str = "") -> Self:
        """The load of a call. Its request is kept in the folder."""
        body = folder / f"body-{address}.bin"
        body.write_bytes(enveloped(call.request))
        return cls(url=f"http://{address}{call.path}", body=body, authorization=authorization)

    async def run(self, seconds: float) -> str:
        """What h2load prints after so long. Raises RuntimeError if it fails."""
        h2load = servers.program("h2load")
        assert h2load
        load = ["-c", str(CONNECTIONS), "-m", str(STREAMS), "-D", f"{seconds * 1000:.0f}ms", "-d", str(self.body)]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        if self.authorization:
            headers += ["-H", f"{HEADER}: {self.authorization}"]
        return await output_of(h2load, *load, *headers, self.url)
