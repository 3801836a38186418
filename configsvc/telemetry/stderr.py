"""Standard error for a service: a thread writes it, so that nobody who logs waits for a reader or fails of a disk."""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue

STANDARD_ERROR = 2
# Text that waits for the writer. Beyond it, lines are lost.
WAITING_CHARACTERS = 4 * 1024 * 1024
# A process that ends waits so long for its last lines to be written.
END_SECONDS = 1.0
# Lines that follow within this time are written together: waking the thread for each made a logged read a fifth dearer.
GATHER_SECONDS = 0.01


def _plain_notice(lines: int) -> str:
    return f"configsvc: {lines} log lines lost: standard error could not be written\n"


class StandardError(io.TextIOBase):
    """A text stream whose `write` never blocks and never fails. A thread writes what it gets to descriptor 2.

    Lines are lost, and counted, while the descriptor cannot be written, and while too much text waits. The next text
    that can be written is a line with their number.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finalizer that writes in the middle of a write.
        self._lock = threading.RLock()
        self._unfinished = ""
        self._pieces: list[str] = []
        self._characters = 0
        self._dropped = 0
        self._writer_awake = False
        self._calls: SimpleQueue[threading.Event | None] = SimpleQueue()
        # Of the writer alone.
        self._lost = 0
        self._unreported = 0
        # True if the last write ended in the middle of a line.
        self._torn = False
        self.notice: Callable[[int], str] = _plain_notice
        threading.Thread(target=self._run, name="standard error", daemon=True).start()

    @property
    def lost_lines(self) -> int:
        """The number of lines that were lost so far."""
        return self._lost + self._dropped

    def write(self, text: str, /) -> int:
        """Hand finished lines to the writer, or drop them if too much waits."""
        with self._lock:
            if self._unfinished or not text.endswith("\n"):
                lines, self._unfinished = _finished(self._unfinished + text)
                self._add(lines)
            else:
                self._add(text)
        return len(text)

    def flush(self) -> None:
        """Hand the unfinished line to the writer, too."""
        if not self._unfinished:
            return
        with self._lock:
            lines, self._unfinished = self._unfinished, ""
            self._add(lines)

    def drain(self, limit_seconds: float) -> None:
        """Wait until everything is written or lost, but not longer than the limit."""
        self.flush()
        drained = threading.Event()
        self._calls.put(drained)
        drained.wait(limit_seconds)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of standard error."""
        return STANDARD_ERROR

    def isatty(self) -> bool:
        """Return whether standard error is a terminal."""
        return os.isatty(STANDARD_ERROR)

    def _add(self, lines: str) -> None:
        if self._characters + len(lines) > WAITING_CHARACTERS:
            self._dropped += lines.count("\n")
        elif lines:
            self._pieces.append(lines)
            self._characters += len(lines)
            if not self._writer_awake:
                self._writer_awake = True
                self._calls.put(None)

    def _run(self) -> None:
        while True:
            drained = self._calls.get()
            if not drained:
                time.sleep(GATHER_SECONDS)
            while self._write_waiting():
                pass
            if drained:
                drained.set()

    def _write_waiting(self) -> bool:
        """Write what waits. Return whether anything did."""
        with self._lock:
            pieces, self._pieces, self._characters = self._pieces, [], 0
            dropped, self._dropped = self._dropped, 0
            self._lost += dropped
            self._writer_awake = bool(pieces)
        for chunk in _chunks(pieces):
            self._report_losses()
            lost = self._unwritten(chunk).count(b"\n")
            self._lost += lost
            self._unreported += lost
        if dropped:
            # They came after these pieces, which were too much already.
            self._unreported += dropped
            self._report_losses()
        return bool(pieces)

    def _report_losses(self) -> None:
        if self._unreported and not self._unwritten(self.notice(self._unreported).encode()):
            self._unreported = 0

    def _unwritten(self, data: bytes) -> bytes:
        """Write as much as possible, and return the rest."""
        whole = b"\n" + data if self._torn else data
        rest = memoryview(whole)
        while rest:
            try:
                rest = rest[os.write(STANDARD_ERROR, rest) :]
            except BlockingIOError:
                _wait_until_writable()
            except OSError:
                break
        written = whole[: len(whole) - len(rest)]
        if written:
            self._torn = bool(rest) and not written.endswith(b"\n")
        return bytes(rest)[-len(data) :]


def _finished(text: str) -> tuple[str, str]:
    """Split text into finished lines and the begin of another, unless that is long."""
    if text.endswith("\n") or len(text) > select.PIPE_BUF:
        return text, ""
    end = text.rfind("\n") + 1
    return text[:end], text[end:]


def _chunks(pieces: Iterable[str]) -> Generator[bytes]:
    """Join pieces to what a pipe takes at once, so that lines of several processes do not mix. Longer ones stay."""
    chunk = b""
    for piece in pieces:
        data = piece.encode(errors="backslashreplace")
        if chunk and len(chunk) + len(data) > select.PIPE_BUF:
            yield chunk
            chunk = b""
        chunk += data
    if chunk:
        yield chunk


def _wait_until_writable() -> None:
    # Somebody made the descriptor non-blocking, which all processes that share it then get.
    poll = select.poll()
    poll.register(STANDARD_ERROR, select.POLLOUT)
    poll.poll()


def install_standard_error() -> None:
    """Make `sys.stderr` a StandardError, for everything in this process that writes there."""
    stream = sys.stderr = StandardError()
    atexit.register(stream.drain, END_SECONDS)


def lost_lines() -> int:
    """Return how many lines this process could not write to standard error."""
    return sys.stderr.lost_lines if isinstance(sys.stderr, StandardError) else 0
