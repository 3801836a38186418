"""Calls in a fork of this process, with a limit of CPU time. Only for processes of a pool, which run no threads."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

Answer = TypeVar("Answer")


class CpuTimeExceededError(Exception):
    """The call took more CPU time than it may."""


def call_within(cpu_seconds: float, function: Callable[..., Answer], *arguments: object) -> Answer:
    """Return the result of a function, which must be picklable. Raises CpuTimeExceededError."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, cpu_seconds, function, arguments))
    process.start()
    sender.close()
    with receiver:
        try:
            return receiver.recv()
        except EOFError:
            raise CpuTimeExceededError from None
        finally:
            process.join()


def _send_result(
    sender: Connection, cpu_seconds: float, function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    # Its signal ends the fork: nothing else can interrupt jsonschema-rs.
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    sender.send(function(*arguments))
