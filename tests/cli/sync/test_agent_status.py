"""The health, metrics and pages of an agent."""

import re
import socket
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync import agent_pages, agent_status
from configsvc.cli.sync.agent import kind_of
from configsvc.cli.sync.agent_pages import served
from configsvc.cli.sync.agent_status import METRICS, AgentStatus, FailureKind, Outcome
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.git import GitError
from tests.cli.sync.agents import page, sample
from tests.process.running import LIMIT_SECONDS

PROJECT = Path(__file__).parents[3]


def test_an_agent_is_unhealthy_when_no_round_was_good_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    status = AgentStatus(0.0, "main", lambda: False)
    assert (status.health()[0], status.health()[1]["status"]) == (200, "starting")
    status.end_round(Outcome.FAILED, 0.1, "away")
    assert (status.health()[0], status.health()[1]["status"]) == (200, "degraded")
    monkeypatch.setattr(agent_status, "UNHEALTHY_SECONDS", 0.0)
    code, document = status.health()
    assert (code, document["status"], document["failure"]) == (503, "unhealthy", "away")
    monkeypatch.setattr(agent_status, "UNHEALTHY_SECONDS", 300.0)
    # A person is needed, not a restart.
    status.end_round(Outcome.REFUSED, 0.1, "broken")
    assert (status.health()[0], status.health()[1]["status"]) == (200, "degraded")
    status.end_round(Outcome.STANDBY, 0.1)
    assert status.health()[1]["status"] == "ok"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CliError("", ExitCode.INVALID), FailureKind.COMMIT),
        (CliError("", ExitCode.CONFLICT), FailureKind.COMMIT),
        (CliError("", ExitCode.CONFLICT, reason="SOURCE_MISMATCH"), FailureKind.COMMIT),
        (CliError("", ExitCode.CONFLICT, reason="VERSION_MISMATCH"), FailureKind.CONFLICT),
        (CliError("", ExitCode.UNAVAILABLE), FailureKind.SERVICE),
        (CliError("", reason="INTERNAL"), FailureKind.SERVICE),
        (CliError("", ExitCode.NOT_PERMITTED, reason="PERMISSION_DENIED"), FailureKind.SETUP),
        (GitError("", ExitCode.UNAVAILABLE), FailureKind.GIT),
    ],
)
def test_only_some_failures_are_those_of_the_commit(error: CliError, kind: FailureKind) -> None:
    assert kind_of(error) is kind


def test_pages_are_served_although_other_clients_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_pages, "MAX_REQUESTS", 2)
    monkeypatch.setattr(agent_pages, "REQUEST_SECONDS", 0.2)
    status = AgentStatus(1.0, 'a"b', lambda: True)
    status.applied(Commit(repository="host/x", commit="c"), 0)
    with served("127.0.0.1:0", status) as address:
        host, port = address.split(":")
        for _ in range(2):
            with closing(socket.create_connection((host, int(port)), LIMIT_SECONDS)) as silent:
                silent.sendall(b"GET ")
                assert silent.recv(1) == b""
        code, metrics = page(f"http://{address}/metrics")
        assert code == 200
        assert 'branch="a\\"b"' in metrics
        assert sample(metrics, "configsvc_sync_round_seconds_count") == 0
        assert (page(f"http://{address}/health/live"))[1] == "live\n"
        assert (page(f"http://{address}/other"))[0] == 404
        with pytest.raises(CliError, match="cannot listen"), served(address, status):
            pass


def test_the_table_of_the_agents_metrics_is_complete() -> None:
    text = (PROJECT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(configsvc_sync_\w+)`\S* \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(metric.name, metric.kind) for metric in METRICS]


def test_the_deployments_to_copy_use_options_that_exist() -> None:
    reference = (PROJECT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    section = reference.partition("configsvc sync agent\n")[2].partition("\n#")[0]
    for name in ("configsvc-agent.service", "agent.yaml"):
        text = (PROJECT / "deploy" / name).read_text(encoding="utf-8")
        used = set(re.findall(r"(?<![\w-])--[a-z-]+(?![\w=])", text))
        assert {"--health-listen", "--cache-dir"} <= used
        assert [option for option in used if f"`{option}" not in section] == []
    deployment = YAML(typ="safe").load((PROJECT / "deploy" / "agent.yaml").read_text(encoding="utf-8"))
    assert deployment["kind"] == "Deployment"
