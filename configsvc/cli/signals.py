"""Signals of this process as events of a queue, for a command that passes them on to a program. Linux has what this
needs: macOS does not tell who sent a signal.
"""

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# What the kernel sends, such as for Ctrl-C on a terminal. Linux; Python has no name for it.
_SI_KERNEL = 0x80
_NAMED = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
}
# Python ignores them, and a program expects their default.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


@dataclass(frozen=True, slots=True)
class Arrived:
    """A signal. One of the terminal has reached all processes of the foreground."""

    number: int
    is_of_terminal: bool


def forwarded() -> set[int]:
    """Return the signals that go to the program, those for real time included."""
    return _NAMED | set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))


def receive_signals(events: Any) -> Iterable[int]:
    """Put signals into a queue from now on, and return the mask from before, for programs to start with.

    To be called before any thread starts: threads inherit the mask, and a signal comes to none of them then.
    """
    # A parent may ignore it, and the end of a program would not be seen.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wanted = forwarded() | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    threading.Thread(target=_wait_for_ever, args=(wanted, events), daemon=True, name="configsvc-signals").start()
    return before


def _wait_for_ever(wanted: set[int], events: Any) -> None:
    while True:
        found = signal.sigwaitinfo(wanted)
        events.put(Arrived(found.si_signo, found.si_code == _SI_KERNEL))


def has_terminal() -> bool:
    """Return true if this process has a controlling terminal."""
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    return False


def signal_named(name: str) -> int:
    """Return the number of SIGHUP or HUP. Raises ValueError."""
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except KeyError:
        raise ValueError(name) from None
