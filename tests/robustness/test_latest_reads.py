"""Latest reads of many keys while feeds fall behind and processes die."""

import signal
from pathlib import Path

import pytest

from tests.process.running import serving
from tests.robustness import validators
from tests.robustness.faults import kill_connections
from tests.robustness.form import FORM, PATIENCE_SECONDS
from tests.robustness.readers import reading_latest
from tests.robustness.stage import playing
from tests.storage.reading import Session, silenced_notifications
from tests.watch.history import read_history


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_latest_reads_are_linearizable_while_feeds_are_lost_and_processes_killed(
    tmp_path: Path, psql: Session, database_url: str
) -> None:
    async with (
        serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (killed, first),
        serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (_, second),
        playing(database_url, first, second) as stage,
        reading_latest(database_url, first, second) as readers,
    ):
        for _ in range(FORM.rounds):
            # The feeds hear of nothing, and look by themselves every 2 s.
            async with silenced_notifications(psql):
                await readers.more(20 * FORM.writes)
            await kill_connections(psql, "configsvc feed")
            await readers.more(5 * FORM.writes)
            await kill_connections(psql, "configsvc")
            await stage.burst()
        killed.signal(signal.SIGKILL)
        await stage.burst()
        await readers.more(5 * FORM.writes)
    validators.latest(readers.reads, await read_history(database_url))
