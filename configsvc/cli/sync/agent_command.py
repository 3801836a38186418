"""The command `sync agent`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from configsvc.cli.commands import command, seconds
from configsvc.cli.failures import UsageError
from configsvc.cli.session import Session
from configsvc.cli.sync.commands import Drift, Prune, app
from configsvc.cli.sync.plans import OnDrift, PlanOptions

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
    # Imported late: the other commands of this group need none of it.
    from configsvc.cli.sync.agent_running import AgentOptions, run_agent  # noqa: PLC0415

    options = AgentOptions(
        url=url,
        branch=branch,
        path=path,
        interval_seconds=interval or INTERVAL_SECONDS,
        plan=PlanOptions(prune=prune, on_drift=on_drift),
        once=once,
        health_listen=health_listen,
        cache_dir=cache_dir,
    )
    run_agent(session, options)
