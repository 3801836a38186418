"""Agents in this process, against a running service, with a repository that is their source."""

import asyncio
import contextlib
import io
import json
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from configsvc.cli.session import Session
from configsvc.cli.sync import applying
from configsvc.cli.sync.agent import Agent, Apply, Parts
from configsvc.cli.sync.agent_log import log
from configsvc.cli.sync.agent_status import AgentStatus
from configsvc.cli.sync.clone import Clone
from configsvc.cli.sync.git import Git
from configsvc.cli.sync.lease import Lease
from configsvc.cli.sync.plans import PlanOptions
from configsvc.cli.sync.state import SourceId
from tests.cli.sync.repositories import Repository
from tests.cli.sync.syncing import configuration_of
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service

INTERVAL_SECONDS = 0.02


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that threads bring about."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # threads set no event of this loop
            await asyncio.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A repository, the service that it is applied to, and the log of its agents."""

    service: Service
    repository: Repository
    folder: Path
    log: io.StringIO = field(default_factory=io.StringIO)

    def agent(
        self,
        name: str = "one",
        *,
        address: str = "",
        options: PlanOptions | None = None,
        apply: Apply = applying.run,
        timeout_seconds: float | None = None,
        path: str = "",
        lease_seconds: float = 60.0,
    ) -> Agent:
        """Return an agent of that name, with a clone of its own."""
        sessions = partial(
            Session,
            server=address or self.service.address,
            timeout_seconds=timeout_seconds,
            tell=lambda text: log("warning", text),
        )
        git = Git()
        clone = Clone(git, self.folder / f"cache-{name}", str(self.repository.folder), "main", path)
        lease = Lease(sessions, SourceId(repository=clone.repository, path=path), name, lease_seconds)
        status = AgentStatus(INTERVAL_SECONDS, "main", lambda: lease.held)
        parts = Parts(sessions=sessions, git=git, clone=clone, lease=lease, status=status, apply=apply)
        return Agent(parts, options or PlanOptions(), INTERVAL_SECONDS)

    @asynccontextmanager
    async def running(self, agent: Agent) -> AsyncGenerator["Running"]:
        """Run an agent in a thread, until the block ends or the agent is stopped."""
        with contextlib.redirect_stderr(self.log):
            task = asyncio.create_task(asyncio.to_thread(agent.run))
            try:
                yield Running(agent, task)
            finally:
                agent.stop()
                await task

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of such an event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def content(self, application: str, name: str) -> Any:
        """Return the content of a configuration."""
        return json.loads((await configuration_of(self.service, application, name)).config_json)


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that runs."""

    agent: Agent
    task: asyncio.Task[None]

    @property
    def status(self) -> AgentStatus:
        return self.agent.status

    @property
    def health(self) -> dict[str, Any]:
        return self.status.health()[1]

    def sample(self, name: str) -> float:
        """Return a metric."""
        return sample(self.status.metrics(), name)

    async def has_applied(self, commit: str) -> None:
        """Wait until the service is what a commit says."""
        await until(lambda: self.health["commit"] == commit and self.health["status"] == "ok")

    async def rounds(self, number: int, outcome: str) -> None:
        """Wait for that many more rounds with an outcome."""
        name = f'configsvc_sync_rounds_total{{outcome="{outcome}"}}'
        wanted = self.sample(name) + number
        await until(lambda: self.sample(name) >= wanted)


def sample(metrics: str, name: str) -> float:
    """Return a sample of a page of metrics."""
    return next(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.rsplit(" ", 1)[0] == name)


def page(url: str) -> tuple[int, str]:
    """Return the status and the text of a page."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=LIMIT_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
