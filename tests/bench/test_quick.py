import asyncio
import json
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from bench.peers.programs import missing
from bench.report.table import BEGIN, END
from tests.postgres import server_folder

PROJECT = Path(__file__).parents[2]
LIMIT_SECONDS = 240.0
UNITS = {"calls/s", "µs", "KiB", "MiB", "ms", "writes/s", "reads/s", "configurations/s"}
# Rows with a figure of etcd.
ETCD = {
    "get_configuration",
    "get_configuration_authenticated",
    "latency_p50_1",
    "latency_p50_100",
    "update",
    "create",
    "update_alone",
}
# Rows of the client library, but for the read over one transport alone, and of the command line.
OVER_BOTH = ("client_start", "client_start_cpu", "client_memory", "client_change", "client_crowd", "client_process")
CLIENTS = ("client_read", *OVER_BOTH, *(f"{key}_http" for key in OVER_BOTH), "command_line_help")


async def bench(*arguments: str) -> str:
    """Run a command of the benchmark, check that it succeeds, and return its output."""
    with server_folder() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench", *arguments),
            cwd=PROJECT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def check_figure(figure: dict[str, Any], repetitions: int) -> None:
    assert not (figure["samples"] and figure["missing"])
    assert len(figure["samples"]) in (0, repetitions)


# Many servers start one after the other.
@pytest.mark.timeout(LIMIT_SECONDS + 20)
async def test_a_quick_run_measures_everything_and_is_reported(tmp_path: Path) -> None:
    file, document, drawing = tmp_path / "results.json", tmp_path / "page.md", tmp_path / "watchers.svg"
    table = await bench("run", "--quick", "--output", str(file))
    results = json.loads(file.read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in results["rows"]}
    assert results["quick"]
    assert results["machine"]["PostgreSQL"].startswith("18")
    for row in rows.values():
        assert row["title"] in table
        assert row["unit"] in UNITS
        for column in ("ours", "limit", "etcd"):
            check_figure(row[column], results["repetitions"])
        judged = row["target"] is not None and row["compared"] is not None
        assert (row["met"] is not None) == judged
    always = ("latency_p50_100", "update", "create", "cold_rate_64", "history_page", "batch_write", *CLIENTS)
    assert all(rows[key]["ours"]["samples"] for key in always)
    for key in ETCD:
        assert bool(rows[key]["etcd"]["samples"]) == (not missing("etcd", *(["h2load"] if "get" in key else [])))
    assert bool(rows["update"]["limit"]["samples"]) == (not missing("pgbench"))
    assert bool(rows["get_configuration"]["ours"]["samples"]) == (not missing("h2load"))

    document.write_text(f"before\n{BEGIN}\nof another run\n{END}\nafter\n", encoding="utf-8")
    await bench("report", "--results", str(file), "--document", str(document))
    page = document.read_text(encoding="utf-8")
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "of another run" not in page
    assert all(row["title"] in page for row in rows.values())
    assert "](watchers.svg)" in page
    assert ET.parse(drawing).getroot().tag.endswith("svg")


@pytest.mark.timeout(LIMIT_SECONDS + 20)
async def test_two_builds_are_compared_in_turn(tmp_path: Path) -> None:
    file = tmp_path / "comparison.md"
    program = Path(sys.executable).with_name("configsvc")
    groups = ("--only", "deliveries", "--only", "batches")
    table = await bench("compare", "--quick", "--other", str(program), *groups, "--output", str(file))
    page = file.read_text(encoding="utf-8")
    titles = (
        "delivery, 1 watcher",
        "delivery, 100 watchers",
        "BatchWriteConfigurations",
        "processor time per delivery",
    )
    for title in titles:
        assert title in table
        assert title in page
    assert "| BatchWriteConfigurations | " in page


async def test_a_row_that_was_not_measured_says_why() -> None:
    assert "not installed" in (missing("no-such-program") or "")
    assert missing("sh") is None
