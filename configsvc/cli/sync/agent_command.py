"""The command `sync agent`."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from configsvc.cli.commands import command, seconds
from configsvc.cli.failures import UsageError
from configsvc.cli.session import Session
from configsvc.cli.sync import applying
from configsvc.cli.sync.agent import Agent, Parts
from configsvc.cli.sync.agent_log import log
from configsvc.cli.sync.agent_pages import served
from configsvc.cli.sync.agent_status import AgentStatus
from configsvc.cli.sync.clone import Clone, checked_path, default_folder
from configsvc.cli.sync.commands import Drift, Prune, app
from configsvc.cli.sync.git import Git, checked_branch, checked_url, normalized
from configsvc.cli.sync.lease import Lease, new_holder
from configsvc.cli.sync.planning import OnDrift, PlanOptions
from configsvc.cli.sync.state import SourceId

INTERVAL_SECONDS = 30.0


@command(app, "agent")
def agent(
    session: Session,
    git: Annotated[
        str | None,
        typer.Option(
            "--git",
            metavar="URL",
            help="Repository. One with a password goes into the variable. [env: CONFIGSVC_SYNC_GIT]",
        ),
    ] = None,
    branch: Annotated[str, typer.Option(metavar="NAME", help="Branch to follow.")] = "main",
    path: Annotated[str, typer.Option(metavar="DIRECTORY", help="Folder of the files in the repository.")] = "",
    interval: Annotated[
        float | None, typer.Option(metavar="DURATION", help="Time between two rounds; default 30s.", parser=seconds)
    ] = None,
    prune: Prune = False,
    on_drift: Drift = OnDrift.REFUSE,
    once: Annotated[bool, typer.Option("--once", help="Work for one round, and fail if it fails.")] = False,
    health_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address of /health and /metrics; default none.")
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Folder of the clone; default in ~/.cache/configsvc/sync."),
    ] = None,
) -> None:
    """Apply each new commit of a branch, until SIGTERM or Ctrl-C.

    Of several agents, one works. A commit that is broken changes nothing, and is reported once. Never deletes more than
    the larger of 10 and 20 % of the source.
    """
    url = git or os.environ.get("CONFIGSVC_SYNC_GIT")
    if not url:
        raise UsageError("name the repository: --git URL")
    runner = Git()
    source = SourceId(repository=normalized(checked_url(url), Path.cwd()), path=checked_path(path))
    folder = cache_dir or default_folder(source.repository, checked_branch(branch), source.path)
    clone = Clone(runner, folder, url, checked_branch(branch), source.path)

    def new_session(timeout_seconds: float | None = session.timeout_seconds) -> Session:
        return Session(
            context=session.context,
            server=session.server,
            timeout_seconds=timeout_seconds,
            no_input=True,
            tell=lambda text: log("warning", text),
        )

    lease = Lease(lambda: new_session(None), source, new_holder())
    every = interval or INTERVAL_SECONDS
    status = AgentStatus(every, branch, lambda: lease.held)
    parts = Parts(sessions=new_session, git=runner, clone=clone, lease=lease, status=status, apply=applying.run)
    worker = Agent(parts, PlanOptions(prune=prune, on_drift=on_drift), every)
    # An address that is wrong, or a context that does not exist.
    new_session().connection.close()
    with clone.locked(), served(health_listen, status) as listen, _stopped_by_signals(worker):
        if once:
            worker.run_once()
            return
        log("info", "agent started", source=str(source), branch=branch, holder=lease.holder, health=listen)
        worker.run()
        log("info", "agent stopped")


@contextmanager
def _stopped_by_signals(worker: Agent) -> Generator[None]:
    def stop(_number: int, _frame: object) -> None:
        # Who asks twice does not want to wait.
        if worker.stopping:
            raise KeyboardInterrupt
        worker.stop()

    # Python allows it in the main thread only.
    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
