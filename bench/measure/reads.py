"""GetConfiguration against a bare handler that returns the same bytes, and etcd."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from bench.loads import messages
from bench.loads.calls import call_once
from bench.loads.h2load import H2load
from bench.loads.http2 import enveloped
from bench.loads.load import Load, rates
from bench.loads.messages import Call
from bench.peers import bare, servers
from bench.peers.processes import Running, free_address
from bench.peers.programs import missing
from bench.peers.provider import Provider
from bench.plan import NGH2, Run, in_turn
from bench.report.results import Figure, Row, Target, figures, row

WARM_UP_SECONDS = 0.4
NAME = messages.row_name(1)
GET = messages.get(NAME)
AT_LEAST_085 = Target(at="least", bound=0.85)
TWICE = Target(at="least", bound=2.0)
ON_NGH2, ON_NGH2_WITH_TOKEN = "GetConfiguration on ngh2", "GetConfiguration on ngh2 with a token"


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of reads."""
    reason = missing("h2load")
    if reason:
        return _rows(lambda _: Figure(missing=reason))
    seconds = run.plan.seconds
    async with AsyncExitStack() as stack:
        by_name, reasons = await _all_loads(run, stack)
        for load in by_name.values():
            # h2load's own warm-up would spoil its count of bytes.
            await load.put(min(WARM_UP_SECONDS, seconds))
        measurements = rates(by_name, seconds)
        for name in (ON_NGH2, "GetConfiguration", "etcd range"):
            if name in by_name:
                measurements[_processor(name)] = partial(_processor_us, by_name[name], seconds)
        samples = await in_turn(run.plan.repetitions, measurements, run.say)
    reasons |= {_processor(name): reason for name, reason in reasons.items()}
    return _rows(figures(samples, reasons))


def _processor(name: str) -> str:
    return f"{name}, µs of processor time"


async def _processor_us(load: Load, seconds: float) -> float:
    _, used = await load.weighed(seconds)
    return used


def _rows(figure: Callable[[str], Figure]) -> tuple[Row, ...]:
    limit = ("a bare grpc.aio handler", figure("bare handler"))
    etcd = ("range of 650 B", figure("etcd range"))
    return (
        row(
            "get_configuration_authenticated",
            "GetConfiguration, 650 B, with a token, metrics on",
            "calls/s",
            figure("GetConfiguration with a token"),
            limit=("a bare grpc.aio handler that is sent the token too", figure("bare handler with a token")),
            etcd=etcd,
            target=AT_LEAST_085,
        ),
        row(
            "get_configuration",
            "GetConfiguration, 650 B",
            "calls/s",
            figure("GetConfiguration"),
            limit=limit,
            etcd=etcd,
            target=AT_LEAST_085,
        ),
        row(
            "get_configuration_ngh2",
            "GetConfiguration, 650 B, transport ngh2",
            "calls/s",
            figure(ON_NGH2),
            limit=("etcd's range of 650 B", figure("etcd range")),
            target=TWICE,
        ),
        row(
            "get_configuration_ngh2_authenticated",
            "GetConfiguration, 650 B, transport ngh2, with a token, metrics on",
            "calls/s",
            figure(ON_NGH2_WITH_TOKEN),
            limit=("etcd's range of 650 B", figure("etcd range")),
        ),
        row(
            "get_configuration_ngh2_cpu",
            "processor time of GetConfiguration, transport ngh2",
            "µs",
            figure(_processor(ON_NGH2)),
            limit=("on grpcio", figure(_processor("GetConfiguration"))),
            etcd=("range of 650 B", figure(_processor("etcd range"))),
        ),
        row(
            "get_configuration_workers",
            "GetConfiguration, 650 B, 2 workers",
            "calls/s",
            figure("GetConfiguration, 2 workers"),
            limit=limit,
            etcd=etcd,
        ),
        row(
            "get_configuration_logged",
            "GetConfiguration, 650 B, log level info",
            "calls/s",
            figure("GetConfiguration, log level info"),
            limit=limit,
        ),
    )


async def loads(run: Run, stack: AsyncExitStack) -> dict[str, Load]:
    """Start the service without and with authentication, and return the loads of reads on them."""
    return await _service_loads(run, stack, Provider(run.folder, "bench"))


async def _service_loads(run: Run, stack: AsyncExitStack, provider: Provider) -> dict[str, Load]:
    server = await stack.enter_async_context(run.service())
    # As in production: authentication and metrics are on.
    environment = {"CONFIGSVC_CALLS_PER_SECOND": "0", "CONFIGSVC_METRICS_LISTEN": free_address()}
    authenticated = await stack.enter_async_context(run.service_with(environment=provider.environment | environment))
    token = provider.authorization("bench")
    return {
        "GetConfiguration": await _load(run, server, GET),
        "GetConfiguration with a token": await _load(run, authenticated, GET, token),
    }


async def _ngh2_loads(run: Run, stack: AsyncExitStack, provider: Provider) -> dict[str, Load]:
    """Start the service without and with authentication on the other transport, and return the loads of reads."""
    start = partial(run.service_with, *NGH2)
    server = await stack.enter_async_context(start())
    environment = {"CONFIGSVC_CALLS_PER_SECOND": "0", "CONFIGSVC_METRICS_LISTEN": free_address()}
    authenticated = await stack.enter_async_context(start(environment=provider.environment | environment))
    return {
        ON_NGH2: await _load(run, server, GET),
        ON_NGH2_WITH_TOKEN: await _load(run, authenticated, GET, provider.authorization("bench")),
    }


async def _all_loads(run: Run, stack: AsyncExitStack) -> tuple[dict[str, Load], dict[str, str]]:
    """Return the loads on all servers, and the reasons for those that are missing."""
    provider = Provider(run.folder, "bench")
    by_name = await _service_loads(run, stack, provider) | await _ngh2_loads(run, stack, provider)
    answer = await call_once(by_name["GetConfiguration"].server.address, GET)
    limit = await stack.enter_async_context(servers.bare(answer, run.folder))
    call = Call(path=bare.GET, request=GET.request)
    by_name["bare handler"] = await _load(run, limit, call)
    # h2load sends each token whole, and gRPC's own clients once for each connection. The handler does not check it.
    by_name["bare handler with a token"] = await _load(run, limit, call, provider.authorization("bench"))
    reason = missing("etcd")
    if not reason:
        etcd = await stack.enter_async_context(servers.etcd(run.folder))
        await call_once(etcd.address, messages.etcd_put(NAME))
        by_name["etcd range"] = await _load(run, etcd, messages.etcd_range(NAME))
    workers = await stack.enter_async_context(run.service_with("--workers", "2"))
    by_name["GetConfiguration, 2 workers"] = await _load(run, workers, GET)
    logging = await stack.enter_async_context(run.service_with(log_level="info"))
    by_name["GetConfiguration, log level info"] = await _load(run, logging, GET)
    return by_name, {"etcd range": reason} if reason else {}


async def _load(run: Run, server: Running, call: Call, authorization: str = "") -> Load:
    # Checked here, because h2load supports HTTP and not gRPC: an error is a success to it.
    answer = await call_once(server.address, call, authorization)
    if b"db-1.internal.example" not in answer:
        raise RuntimeError(f"the answer to {call.path} has no content")
    flood = H2load.of(run.folder, server.address, call, authorization)
    return Load(server=server, put=partial(flood.checked, len(enveloped(answer))))
