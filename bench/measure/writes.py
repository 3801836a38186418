"""Single writes from many callers, against pgbench with one transaction and NOTIFY per write, and etcd."""

import math
import re
from contextlib import AsyncExitStack
from functools import partial

from bench.loads import messages
from bench.loads.calls import call_once
from bench.loads.load import Load, generated, rates
from bench.loads.messages import ROWS, Call
from bench.peers import servers
from bench.peers.databases import connected, database_beside
from bench.peers.processes import Running
from bench.peers.programs import missing, output_of, program
from bench.plan import Measure, Run, Transport, in_turn
from bench.report.results import Row, Target, figures, row

CALLERS = 64
MOST_MILLISECONDS_ALONE = 1.5
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
# The counter as late as possible, because its lock lasts until the commit is on disk.
COUNTED_UPDATE = UPDATE.replace("COMMIT;", "UPDATE counter SET revision = revision + 1;\nCOMMIT;")
# Name: script and number of clients.
SCRIPTS = {
    "pgbench update": (UPDATE, CALLERS),
    "pgbench update and counter": (COUNTED_UPDATE, CALLERS),
    "pgbench insert": (INSERT, CALLERS),
    "pgbench update, 1 client": (UPDATE, 1),
}
# A measurement and its limit run one after the other.
ORDER = (
    *("UpdateConfiguration", "pgbench update", "pgbench update and counter", "etcd put"),
    *("CreateConfiguration", "pgbench insert", "etcd put of new keys"),
    *("UpdateConfiguration, 1 caller", "pgbench update, 1 client", "etcd put, 1 caller"),
)


async def measure(run: Run, transport: Transport) -> tuple[Row, ...]:
    """Return the rows of writes."""
    reasons: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        by_name = await loads(run, stack, *transport.flags) | await _etcd(run, stack, reasons)
        measurements = rates(by_name, run.plan.seconds) | await _pgbench(run, reasons)
        ordered = {name: measurements[name] for name in ORDER if name in measurements}
        samples = await in_turn(run.plan.repetitions, ordered, run.say)
    figure = figures(samples, reasons)
    return (
        row(
            f"update{transport.key}",
            f"UpdateConfiguration, {CALLERS} callers{transport.title}",
            "writes/s",
            figure("UpdateConfiguration"),
            limit=("pgbench: UPDATE, NOTIFY", figure("pgbench update")),
            etcd=("put", figure("etcd put")),
            target=AT_LEAST_TWICE,
        ),
        row(
            f"update_against_counter{transport.key}",
            f"the same, against one that also counts{transport.title}",
            "writes/s",
            figure("UpdateConfiguration"),
            limit=("pgbench: UPDATE, counter, NOTIFY", figure("pgbench update and counter")),
        ),
        row(
            f"create{transport.key}",
            f"CreateConfiguration, {CALLERS} callers{transport.title}",
            "writes/s",
            figure("CreateConfiguration"),
            limit=("pgbench: INSERT, NOTIFY", figure("pgbench insert")),
            etcd=("put of new keys", figure("etcd put of new keys")),
            target=AT_LEAST_TWICE,
        ),
        row(
            f"update_alone{transport.key}",
            f"UpdateConfiguration, 1 caller{transport.title}",
            "writes/s",
            figure("UpdateConfiguration, 1 caller"),
            limit=("pgbench: UPDATE, NOTIFY", figure("pgbench update, 1 client")),
            etcd=("put", figure("etcd put, 1 caller")),
            by="value",
            target=Target(at="least", bound=1000 / MOST_MILLISECONDS_ALONE),
        ),
    )


async def loads(run: Run, stack: AsyncExitStack, *flags: str) -> dict[str, Load]:
    """Start the service, and return the loads of writes on it."""
    server = await stack.enter_async_context(run.service(*flags))
    return {
        "UpdateConfiguration": await _callers(stack, server, messages.update(), CALLERS),
        "CreateConfiguration": await _callers(stack, server, messages.create(), CALLERS),
        "UpdateConfiguration, 1 caller": await _callers(stack, server, messages.update(), 1),
    }


async def _etcd(run: Run, stack: AsyncExitStack, reasons: dict[str, str]) -> dict[str, Load]:
    calls = {
        "etcd put": (messages.etcd_put(f"row-{messages.ROW}"), CALLERS),
        "etcd put of new keys": (messages.etcd_put(f"new-{messages.TURN}"), CALLERS),
        "etcd put, 1 caller": (messages.etcd_put(f"row-{messages.ROW}"), 1),
    }
    reason = missing("etcd")
    if reason:
        reasons |= dict.fromkeys(calls, reason)
        return {}
    server = await stack.enter_async_context(servers.etcd(run.folder))
    return {name: await _callers(stack, server, *call) for name, call in calls.items()}


async def _callers(stack: AsyncExitStack, server: Running, call: Call, count: int) -> Load:
    # Once with a gRPC client, which raises the error of a call that the other client would only count as failed.
    await call_once(server.address, Call(path=call.path, request=messages.numbered(call.request, 0, 0)))
    return await generated(stack, server, "callers", call.path, call.request.hex(), str(count))


async def _pgbench(run: Run, reasons: dict[str, str]) -> dict[str, Measure]:
    reason = missing("pgbench")
    if reason:
        reasons |= dict.fromkeys(SCRIPTS, reason)
        return {}
    url = await _tables(run.database_url)
    return {name: partial(_transactions, run, url, name) for name in SCRIPTS}


async def _tables(database_url: str) -> str:
    url = await database_beside(database_url, DATABASE)
    async with connected(url) as connection:
        await connection.execute(TABLES)
        await connection.execute(ITEMS, messages.content_text(), ROWS)
        await connection.execute("ANALYZE")
    return url


async def _transactions(run: Run, url: str, name: str) -> float:
    script = run.folder / f"{name}.sql"
    text, clients = SCRIPTS[name]
    script.write_text(text, encoding="utf-8")
    load = f"--no-vacuum --client {clients} --jobs 2 --time {math.ceil(run.plan.seconds)} --protocol prepared"
    printed = await output_of(program("pgbench"), *load.split(), "--file", str(script), url)
    rate = re.search(r"tps = ([\d.]+)", printed)
    if not rate or re.search(r"failed transactions: [1-9]", printed):
        raise RuntimeError(f"unexpected output of pgbench: {printed}")
    return float(rate[1])
