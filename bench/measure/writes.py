"""Single writes from many callers, against pgbench with one NOTIFYing transaction a write, and etcd."""

import math
import re
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.loads import messages
from bench.loads.calls import call_once
from bench.loads.messages import ROWS, Call
from bench.loads.remote import Remote, remote
from bench.peers import servers
from bench.plan import Measure, Run, in_turn, output_of
from bench.report.results import Row, Target, figures, row

CALLERS = 64
AT_LEAST_TWICE = Target(at="least", bound=2.0)
DATABASE = "pgbench"

TABLES = """
CREATE TABLE items (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL, config jsonb NOT NULL);
CREATE TABLE counter (revision bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO counter VALUES (0);
"""
ITEMS = "INSERT INTO items (name, config) SELECT 'row-' || i, $1::jsonb FROM generate_series(1, $2::integer) AS i"

UPDATE = rf"""
\set id random(1, {ROWS})
\set turn random(10000000, 99999999)
BEGIN;
UPDATE items SET config = jsonb_set(config, '{{turn}}', to_jsonb((:turn)::text)) WHERE id = :id;
SELECT pg_notify('items', (:id)::text);
COMMIT;
"""
INSERT = rf"""
\set id random(1, {ROWS})
BEGIN;
INSERT INTO items (name, config) SELECT name, config FROM items WHERE id = :id;
SELECT pg_notify('items', (:id)::text);
COMMIT;
"""
# The number as late as can be, for its lock lasts until the commit is on disk.
COUNTED_UPDATE = UPDATE.replace("COMMIT;", "UPDATE counter SET revision = revision + 1;\nCOMMIT;")
# By name: what is run, and by how many clients.
SCRIPTS = {
    "pgbench update": (UPDATE, CALLERS),
    "pgbench update and counter": (COUNTED_UPDATE, CALLERS),
    "pgbench insert": (INSERT, CALLERS),
    "pgbench update, 1 client": (UPDATE, 1),
}
# What is compared comes one after the other.
ORDER = (
    *("UpdateConfiguration", "pgbench update", "pgbench update and counter", "etcd put"),
    *("CreateConfiguration", "pgbench insert", "etcd put of new keys"),
    *("UpdateConfiguration, 1 caller", "pgbench update, 1 client", "etcd put, 1 caller"),
)


async def measure(run: Run) -> tuple[Row, ...]:
    """The rows of writes."""
    reasons: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        measurements = await _service(run, stack) | await _pgbench(run, reasons) | await _etcd(run, stack, reasons)
        ordered = {name: measurements[name] for name in ORDER if name in measurements}
        samples = await in_turn(run.plan.repetitions, ordered, run.say)
    figure = figures(samples, reasons)
    return (
        row(
            "update",
            f"UpdateConfiguration, {CALLERS} callers",
            "writes/s",
            figure("UpdateConfiguration"),
            limit=("pgbench: UPDATE, NOTIFY", figure("pgbench update")),
            etcd=("put", figure("etcd put")),
            target=AT_LEAST_TWICE,
        ),
        row(
            "update_against_counter",
            "the same, against one that also counts",
            "writes/s",
            figure("UpdateConfiguration"),
            limit=("pgbench: UPDATE, counter, NOTIFY", figure("pgbench update and counter")),
        ),
        row(
            "create",
            f"CreateConfiguration, {CALLERS} callers",
            "writes/s",
            figure("CreateConfiguration"),
            limit=("pgbench: INSERT, NOTIFY", figure("pgbench insert")),
            etcd=("put of new keys", figure("etcd put of new keys")),
            target=AT_LEAST_TWICE,
        ),
        row(
            "update_alone",
            "UpdateConfiguration, 1 caller",
            "writes/s",
            figure("UpdateConfiguration, 1 caller"),
            limit=("pgbench: UPDATE, NOTIFY", figure("pgbench update, 1 client")),
            etcd=("put", figure("etcd put, 1 caller")),
        ),
    )


async def _service(run: Run, stack: AsyncExitStack) -> dict[str, Measure]:
    server = await stack.enter_async_context(servers.service_of(run))
    return {
        "UpdateConfiguration": await _callers(run, stack, server.address, messages.update(), CALLERS),
        "CreateConfiguration": await _callers(run, stack, server.address, messages.create(), CALLERS),
        "UpdateConfiguration, 1 caller": await _callers(run, stack, server.address, messages.update(), 1),
    }


async def _etcd(run: Run, stack: AsyncExitStack, reasons: dict[str, str]) -> dict[str, Measure]:
    calls = {
        "etcd put": (messages.etcd_put(f"row-{messages.ROW}"), CALLERS),
        "etcd put of new keys": (messages.etcd_put(f"new-{messages.TURN}"), CALLERS),
        "etcd put, 1 caller": (messages.etcd_put(f"row-{messages.ROW}"), 1),
    }
    reason = servers.missing("etcd")
    if reason:
        reasons |= dict.fromkeys(calls, reason)
        return {}
    server = await stack.enter_async_context(servers.etcd(run.folder))
    return {name: await _callers(run, stack, server.address, *call) for name, call in calls.items()}


async def _callers(run: Run, stack: AsyncExitStack, address: str, call: Call, count: int) -> Measure:
    # Once by a client that knows errors: it raises one that would be a mere failure to the other.
    await call_once(address, Call(path=call.path, request=messages.numbered(call.request, 0, 0)))
    callers = await stack.enter_async_context(remote("callers", address, call.path, call.request.hex(), str(count)))
    return partial(_rate, callers, run.plan.seconds)


async def _rate(callers: Remote, seconds: float) -> float:
    return await callers.ask(seconds=seconds)


async def _pgbench(run: Run, reasons: dict[str, str]) -> dict[str, Measure]:
    reason = servers.missing("pgbench")
    if reason:
        reasons |= dict.fromkeys(SCRIPTS, reason)
        return {}
    url = await _tables(run.database_url)
    return {name: partial(_transactions, run, url, name) for name in SCRIPTS}


async def _tables(database_url: str) -> str:
    """The URL of a database for pgbench, beside the service's own and so with the same durability."""
    url = urlunsplit(urlsplit(database_url)._replace(path=f"/{DATABASE}"))
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=30)
    await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.close(timeout=10)
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    await connection.execute(TABLES)
    await connection.execute(ITEMS, messages.content_text(), ROWS)
    await connection.execute("ANALYZE")
    await connection.close(timeout=10)
    return url


async def _transactions(run: Run, url: str, name: str) -> float:
    script = run.folder / f"{name}.sql"
    text, clients = SCRIPTS[name]
    script.write_text(text, encoding="utf-8")
    pgbench = servers.program("pgbench")
    assert pgbench
    load = f"--no-vacuum --client {clients} --jobs 2 --time {math.ceil(run.plan.seconds)} --protocol prepared"
    printed = await output_of(pgbench, *load.split(), "--file", str(script), url)
    rate = re.search(r"tps = ([\d.]+)", printed)
    if not rate or re.search(r"failed transactions: [1-9]", printed):
        raise RuntimeError(f"pgbench printed something else than expected: {printed}")
    return float(rate[1])
