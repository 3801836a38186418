"""An agent put together, and run until a signal."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from configsvc.cli.session import Session
from configsvc.cli.sync import applying
from configsvc.cli.sync.agent import Agent, Parts
from configsvc.cli.sync.agent_log import log
from configsvc.cli.sync.agent_pages import served
from configsvc.cli.sync.agent_status import AgentStatus
from configsvc.cli.sync.clone import Clone, checked_path, default_folder
from configsvc.cli.sync.git import Git, checked_branch, checked_url, normalized
from configsvc.cli.sync.lease import Lease, new_holder
from configsvc.cli.sync.plans import PlanOptions
from configsvc.cli.sync.state import SourceId


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """The options of an agent."""

    url: str
    branch: str
    path: str
    interval_seconds: float
    plan: PlanOptions
    once: bool
    health_listen: str | None
    cache_dir: Path | None


def run_agent(session: Session, options: AgentOptions) -> None:
    """Run an agent until SIGTERM or SIGINT, or for a round. Raises CliError."""
    git, branch = Git(), checked_branch(options.branch)
    source = SourceId(repository=normalized(checked_url(options.url), Path.cwd()), path=checked_path(options.path))
    folder = options.cache_dir or default_folder(source.repository, branch, source.path)
    clone = Clone(git, folder, options.url, branch, source.path)
    lease = Lease(lambda: _new_session(session, None), source, new_holder())
    status = AgentStatus(options.interval_seconds, branch, lambda: lease.held)
    parts = Parts(
        sessions=lambda: _new_session(session, session.timeout_seconds),
        git=git,
        clone=clone,
        lease=lease,
        status=status,
        apply=applying.run,
    )
    agent = Agent(parts, options.plan, options.interval_seconds)
    # An address that is wrong, or a context that does not exist.
    parts.sessions().connection.close()
    with clone.locked(), served(options.health_listen, status) as listen, _stopped_by_signals(agent):
        if options.once:
            agent.run_once()
            return
        log("info", "agent started", source=str(source), branch=branch, holder=lease.holder, health=listen)
        agent.run()
        log("info", "agent stopped")


def _new_session(session: Session, timeout_seconds: float | None) -> Session:
    return Session(
        context=session.context,
        server=session.server,
        timeout_seconds=timeout_seconds,
        no_input=True,
        tell=lambda text: log("warning", text),
    )


@contextmanager
def _stopped_by_signals(agent: Agent) -> Generator[None]:
    def stop(_number: int, _frame: object) -> None:
        # Who asks twice does not want to wait.
        if agent.stopping:
            raise KeyboardInterrupt
        agent.stop()

    # Python allows it in the main thread only.
    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
