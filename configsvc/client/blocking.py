"""The client for programs without an event loop."""

import atexit
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Unpack

from configsvc.client.background import Background, FollowedConfigs
from configsvc.client.callbacks import WaitingChanges
from configsvc.client.errors import ConfigError, NotReadyError
from configsvc.client.settings import Options, Settings
from configsvc.client.view import Change


class ConfigClient(FollowedConfigs):
    """Keeps a copy of an application's configurations, by a thread of its own. `with` starts and closes it.

    The options are those of `Settings`. Making a client does no I/O.
    """

    def __init__(self, address: str, *, application: str, **options: Unpack[Options]) -> None:
        super().__init__(Settings(address=address, application=application, **options))
        self._is_closed = False

    def __enter__(self) -> "ConfigClient":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Wait until all configurations have arrived, at most `start_timeout`.

        Raises StoppedError if the service refuses, and NotReadyError if nothing arrives and there is no disk copy.
        """
        if self._background or self._is_closed:
            raise ConfigError("a client can be started once: make another one")
        self._background = Background(self._settings, self._store, resumes=False)
        atexit.register(self.close)
        try:
            self._background.start()
            self._background.wait_for_start()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise NotReadyError("the thread of the client does not run") from error
            raise

    def close(self) -> None:
        """End everything that the client has started, within twice `close_timeout`. What it has stays readable."""
        self._is_closed = True
        self._callbacks.end()
        if self._store.is_forked:
            self._store.end()  # the thread is that of the parent
        elif self._background:
            self._background.end()
        for seconds in self._callbacks.waits(self._settings.close_timeout):
            time.sleep(seconds)
        atexit.unregister(self.close)

    def changes(self, name: str | None = None) -> Iterator[Change]:
        """Return the changes from now on, of one name or of all, as an iterator that waits for them.

        A reader that is slow gets several as one. It ends when the client is closed.
        """
        return WaitingChanges(self._store, name)
