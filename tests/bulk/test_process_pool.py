"""The processes for work that would hold up the event loop."""

import asyncio
import time
from pathlib import Path

from configsvc.process_pool import ProcessPool


def work_for_long(begun: Path) -> None:
    begun.touch()
    time.sleep(120)


async def test_work_under_way_does_not_hold_up_the_end(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    async with asyncio.timeout(20), ProcessPool.open() as pool:
        work = asyncio.create_task(pool.call(work_for_long, begun))
        while not begun.exists():  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait((work,))
