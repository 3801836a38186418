"""A feed without a database, and watches of it whose clients take messages without waiting, or do not."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from configsvc.domain.commits import Commit, CommitPart, History, Position, position_after
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.models import Operation
from configsvc.domain.selection import Selection
from configsvc.domain.watching import CommitMessage, ContentForm, ProgressMessage, WatchMessage
from configsvc.feed.feed import Feed
from configsvc.watch.audiences import Audiences
from configsvc.watch.follower import Follower
from configsvc.watch.groups import Groups
from configsvc.watch.sending import IdleTimer, Progress, Sending
from tests.domain.changes import EVERYTHING, NOW, change

# Longer than any test.
NEVER_SECONDS = 3600.0
OLD = History("old")


def commit_of(revision: int, *, owner: str = "shop", size: int = 0, parts: int = 1) -> tuple[CommitPart, ...]:
    """Return a commit that changes a configuration of the application in each of its parts."""
    one = replace(change(Operation.UPDATED, before=(owner, "web"), after=(owner, "web")), content_bytes=size)
    commit = Commit(revision=revision, id=revision, time=NOW)
    ends = [Position(revision=revision, ordinal=number) for number in range(1, parts)] + [position_after(revision)]
    firsts = [Position(revision=revision, ordinal=0), *ends]
    return tuple(
        CommitPart(
            commit=commit,
            first=first,
            next=end,
            changes=(one,),
            concerns_access=False,
            weight=1,
            more=end is not ends[-1],
        )
        for first, end in zip(firsts, ends, strict=False)
    )


@dataclass
class Client:
    """The client of one watch. `received` has its messages: a position for a part, a revision for a bookmark."""

    begin: int
    selection: Selection = EVERYTHING
    received: list[tuple[str, int, int]] = field(default_factory=list)
    # How many were taken without waiting.
    offered: int = 0
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progress = field(default_factory=lambda: Progress(0))
    task: asyncio.Task[None] | None = None
    error: ConfigsvcError | None = None
    idle: IdleTimer | None = None

    def offer(self, message: bytes) -> bool:
        if not self.reads.is_set():
            return False
        self.offered += 1
        self._receive(message)
        return True

    async def write(self, message: bytes) -> None:
        self._receive(message)
        await self.reads.wait()

    def _receive(self, message: bytes) -> None:
        kind, revision, ordinal = message.decode().split()
        self.received.append((kind, int(revision), int(ordinal)))

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The positions of the parts that it has received."""
        return [(revision, ordinal) for kind, revision, ordinal in self.received if kind == "part"]

    def bookmark(self) -> None:
        """Have a bookmark sent, as if nothing was sent for long."""
        assert self.idle
        self.idle._deadline = 0.0
        if self.idle._member:
            self.idle._member.moment = -NEVER_SECONDS
        self.idle._next_time(asyncio.get_running_loop().time())


class Stage:
    """The feed, its log, and the groups of its watches."""

    def __init__(self) -> None:
        self.feed = Feed("", ())
        self.audiences = Audiences(self.feed.interests)
        self.groups = Groups(self.feed, self.audiences)
        self.log: list[CommitPart] = []
        self.head = 0
        # The messages that were encoded.
        self.encoded: list[WatchMessage] = []
        self._pages: asyncio.Queue[Sequence[CommitPart]] = asyncio.Queue()

    async def run(self) -> None:
        """Show commits to the watches, as the task of the feed does, and deliver to the groups."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.groups.run())
            while True:
                parts = await self._pages.get()
                for part in parts:
                    self.feed._append(part)
                await self.feed._waiters.wake(parts)

    def commit(self, *, owner: str = "shop", size: int = 0, parts: int = 1) -> int:
        """Commit, and return the revision."""
        self.head += 1
        page = commit_of(self.head, owner=owner, size=size, parts=parts)
        self.log += page
        self._pages.put_nowait(page)
        return self.head

    def drop_unread(self) -> None:
        """Forget the commits that the feed has not read: another history does not have them."""
        while not self._pages.empty():
            self._pages.get_nowait()
        self.log = [part for part in self.log if part.first < self.feed.end]

    def watch(self, selection: Selection = EVERYTHING, *, reads: bool = True) -> Client:
        """Open a watch of what comes next."""
        client = Client(begin=self.feed.revision, selection=selection)
        if reads:
            client.reads.set()
        client.task = asyncio.create_task(self._follow(client))
        return client

    async def _follow(self, client: Client) -> None:
        sending = Sending(client.progress, self.feed.history, self._encode, client.write, None)
        try:
            with (
                self.audiences.joined(client.selection, ContentForm.STRUCT) as audience,
                self.groups.joined(audience, sending, client.offer) as member,
                IdleTimer(self.feed, NEVER_SECONDS, (), member) as client.idle,
            ):
                watch = Follower(self.feed, self.audiences, audience, client.idle, self._read_on, sending, member)
                await watch.follow(position_after(client.begin), client.begin, delivering=False)
        except ConfigsvcError as error:
            client.error = error

    async def _encode(self, _: History, message: WatchMessage) -> tuple[bytes, ...]:
        self.encoded.append(message)
        if isinstance(message, CommitMessage):
            return (f"part {message.part.first.revision} {message.part.first.ordinal}".encode(),)
        assert isinstance(message, ProgressMessage)
        return (f"mark {message.revision} 0".encode(),)

    async def _read_on(self, position: Position) -> tuple[Position, Sequence[CommitPart]]:
        await asyncio.sleep(0)
        return position, [part for part in self.log if part.first >= position][:3]

    def expected(self, client: Client, last: int) -> list[tuple[int, int]]:
        """Return the positions of all parts that the client selects, up to a revision."""
        owner = {one.application.name for one in client.selection.selectors if one.application}  # type: ignore[union-attr]
        return [
            (part.first.revision, part.first.ordinal)
            for part in self.log
            if client.begin < part.revision <= last and owner <= {part.changes[0].configuration.application}
        ]


async def turns(number: int) -> None:
    """Let all tasks run, some times."""
    for _ in range(number):
        await asyncio.sleep(0)


@asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """Yield a stage at revision 0."""
    stage = Stage()
    await stage.feed._go_to(OLD, 0, None)
    stage.feed._set_live(True)
    running = asyncio.create_task(stage.run())
    try:
        yield stage
    finally:
        running.cancel()
        await asyncio.wait((running,))
        assert running.cancelled(), running.exception()
