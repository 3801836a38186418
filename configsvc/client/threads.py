"""Work that blocks, in threads that keep no program from ending."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Answer = TypeVar("Answer")


async def in_thread(work: Callable[[], Answer], name: str) -> Answer:
    """Return the result of work in a thread of its own, a daemon. Who is cancelled does not wait for it."""
    loop, answer = asyncio.get_running_loop(), asyncio.Future[Answer]()

    def settle(result: Answer | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # pyright: ignore[reportArgumentType]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is awaited
            failure = error
        # Not if the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    await asyncio.wait((answer,))
    # It ends now, and is not to outlive the client by a moment.
    thread.join()
    return answer.result()
