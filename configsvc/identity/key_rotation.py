"""The keys of the provider as they are known now, and when they are read again."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from configsvc.aio import wait_for_event
from configsvc.domain.errors import IdentityProviderUnavailableError
from configsvc.identity.jwks import KeySet, VerificationKey
from configsvc.identity.key_sources import KeySource, UnreadableKeysError

log = structlog.get_logger()

# How long one reading may take.
READING_LIMIT_SECONDS = 10.0
# The least time between two readings, whatever callers send.
PAUSE_SECONDS = 5.0
# When the keys are read again though nobody has asked: after a reading that went well, and after one that failed.
REFRESH_SECONDS = 300.0
RETRY_SECONDS = 10.0
# How long they are used after the last reading that went well. Longer than an outage should last; but as long as the
# provider is away, nobody hears of a key that it has withdrawn.
KEEP_SECONDS = 24 * 3600.0


class ProviderKeys:
    """What everybody's tokens are verified with. Everything here belongs to one event loop.

    withdrawn is called when a key that was there is not there any more.
    """

    def __init__(self, read: KeySource, withdrawn: Callable[[], None]) -> None:
        self._read = read
        self._withdrawn = withdrawn
        self._keys = KeySet(())
        # Why the last reading failed, if it did.
        self._failure: str | None = None
        self._read_at = time.monotonic()
        self._resting = False
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._keys.thumbprints)

    @property
    def age_seconds(self) -> float:
        """How long ago they were read; before the first reading, since the start."""
        return time.monotonic() - self._read_at

    def fitting(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that can have made such a signature."""
        return self._keys.fitting(key_id, algorithm)

    async def ask_provider(self) -> None:
        """Returns when the keys have been read, or at once if that was a moment ago. All who wait, wait for the same
        reading. Raises IdentityProviderUnavailableError if the last one failed.
        """
        if not self._resting:
            self._wanted.set()
            await self._ended.wait()
        if self._failure is not None:
            raise IdentityProviderUnavailableError(retry_seconds=PAUSE_SECONDS)

    async def run(self) -> None:
        """Reads the keys now, and again whenever it is time or somebody wants others; never ends."""
        while True:
            await self._read_again()
            self._resting = True
            self._ended.set()
            await asyncio.sleep(PAUSE_SECONDS)
            self._resting = False
            self._ended = asyncio.Event()
            await wait_for_event(self._wanted, RETRY_SECONDS if self._failure is not None else REFRESH_SECONDS)

    async def _read_again(self) -> None:
        try:
            async with asyncio.timeout(READING_LIMIT_SECONDS):
                document = await self._read()
            keys = KeySet.parsed(document)
        except UnreadableKeysError as error:
            self._fail(str(error))
        except TimeoutError:
            self._fail(f"no answer within {READING_LIMIT_SECONDS:g} s")
        else:
            self._take(keys)
        self._wanted.clear()

    def _take(self, keys: KeySet) -> None:
        if self._failure is not None or keys.thumbprints != self._keys.thumbprints:
            log.info("keys of the identity provider", count=len(keys.thumbprints))
        gone = self._keys.thumbprints - keys.thumbprints
        self._keys, self._failure, self._read_at = keys, None, time.monotonic()
        if gone:
            self._withdrawn()

    def _fail(self, why: str) -> None:
        if why != self._failure:
            log.warning("the keys of the identity provider cannot be read", why=why, keys=len(self))
        self._failure = why
        if self.age_seconds > KEEP_SECONDS and len(self):
            log.error("the keys of the identity provider are too old to be used", age_seconds=round(self.age_seconds))
            self._keys = KeySet(())
            self._withdrawn()
