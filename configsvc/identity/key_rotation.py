"""The keys of an identity provider, refreshed on schedule and on demand."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from configsvc.aio import wait_for_event
from configsvc.domain.errors import IdentityProviderUnavailableError, OutOfDescriptorsError
from configsvc.identity.jwks import KeySet, VerificationKey
from configsvc.identity.key_sources import KeySource, UnreadableKeysError
from configsvc.telemetry.descriptors import shortage

log = structlog.get_logger()

# The limit for one refresh.
READING_LIMIT_SECONDS = 10.0
# The least time between two refreshes, whatever callers send.
PAUSE_SECONDS = 5.0
# The time to the next scheduled refresh, after a success and after a failure.
REFRESH_SECONDS = 300.0
RETRY_SECONDS = 10.0
# How long keys are used after the last successful refresh: longer than outages last, but finite, because during an
# outage a withdrawn key goes unnoticed.
KEEP_SECONDS = 24 * 3600.0

_NO_DESCRIPTOR = "this process has no file descriptor left"


class ProviderKeys:
    """The keys that tokens are verified with. Use it in one event loop only.

    `withdrawn` is called when the provider has withdrawn a key.
    """

    def __init__(self, read: KeySource, withdrawn: Callable[[], None]) -> None:
        self._read = read
        self._withdrawn = withdrawn
        self._keys = KeySet(())
        # The error of the last refresh, if it failed.
        self._failure: str | None = None
        self._read_at = time.monotonic()
        self._resting = False
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._keys.thumbprints)

    @property
    def age_seconds(self) -> float:
        """The time since the last successful refresh, or since the start."""
        return time.monotonic() - self._read_at

    def fitting(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys that may have signed a token."""
        return self._keys.fitting(key_id, algorithm)

    async def ask_provider(self) -> None:
        """Wait for a refresh that all callers share; return at once if the last one ended less than PAUSE_SECONDS ago.

        Raises IdentityProviderUnavailableError or OutOfDescriptorsError if the refresh failed.
        """
        if not self._resting:
            self._wanted.set()
            await self._ended.wait()
        if self._failure is not None:
            if self._failure == _NO_DESCRIPTOR:
                raise OutOfDescriptorsError
            raise IdentityProviderUnavailableError(retry_seconds=PAUSE_SECONDS)

    async def run(self) -> None:
        """Refresh the keys at the start, on schedule and on demand, until cancelled."""
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
            # Libraries hide the cause: what they could not open, they call a failed connection.
            self._fail(_NO_DESCRIPTOR if shortage() else str(error))
        except TimeoutError:
            self._fail(f"no response within {READING_LIMIT_SECONDS:g} s")
        else:
            self._take(keys)
        self._wanted.clear()

    def _take(self, keys: KeySet) -> None:
        if self._failure is not None or keys.thumbprints != self._keys.thumbprints:
            log.info("read the keys of the identity provider", count=len(keys.thumbprints))
        gone = self._keys.thumbprints - keys.thumbprints
        self._keys, self._failure, self._read_at = keys, None, time.monotonic()
        if gone:
            self._withdrawn()

    def _fail(self, why: str) -> None:
        if why != self._failure:
            log.warning("cannot read the keys of the identity provider", why=why, keys=len(self))
        self._failure = why
        if self.age_seconds > KEEP_SECONDS and len(self):
            log.error(
                "keys of the identity provider are too old: rejecting all tokens", age_seconds=round(self.age_seconds)
            )
            self._keys = KeySet(())
            self._withdrawn()
