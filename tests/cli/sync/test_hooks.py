"""The hook of pre-commit and the step of continuous integration of the guide, in a repository of their own."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.cli.sync.repositories import Repository, needs_git, new_repository
from tests.cli.sync.syncing import Sync, quiet_service
from tests.docs.test_guide import PROJECT, blocks
from tests.process.running import CONFIGSVC
from tests.service import Service

pytestmark = [needs_git, pytest.mark.asyncio(loop_scope="module")]

GUIDE = "docs/guide/git.md"
FILES = {
    "schemas/hooks.json": json.dumps({"type": "object", "properties": {"max": {"type": "integer"}}}),
    "applications/hooks/limits.yaml": "# yaml-language-server: $schema=../../schemas/hooks.json\nmax: 5\n",
}


def documents() -> Iterator[Any]:
    """Yield the YAML documents of the guide, and the hooks of the project."""
    for text in (*blocks(GUIDE, "yaml"), (PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")):
        yield YAML(typ="safe").load(text)


def hooks() -> list[dict[str, Any]]:
    (ours,) = (document for document in documents() if isinstance(document, list))
    (local,) = (document["repos"] for document in documents() if "repos" in document)
    return [*ours, *local[0]["hooks"]]


def steps() -> list[str]:
    """Return the commands of continuous integration."""
    (jobs,) = (document["jobs"] for document in documents() if "jobs" in document)
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def check_commands() -> set[str]:
    of_hooks = {" ".join((hook["entry"], *hook.get("args", ()))) for hook in hooks()}
    return of_hooks | {step for step in steps() if step.startswith("configsvc ")}


def run(command: str, repository: Repository) -> subprocess.CompletedProcess[str]:
    """Run a command in a repository, where it finds the program but no service."""
    path = f"{Path(CONFIGSVC[0]).parent}:{os.environ['PATH']}"
    variables = os.environ | {"PATH": path, "CONFIGSVC_SERVER": "127.0.0.1:9"}
    return subprocess.run(
        shlex.split(command),
        cwd=repository.folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = new_repository(tmp_path / "configurations")
    made.commit(FILES)
    return made


@pytest.fixture
def quiet() -> Generator[None]:
    with quiet_service():
        yield


async def test_the_hooks_and_the_step_accept_a_tree_that_can_be_applied_and_refuse_one_that_cannot(
    repository: Repository, shared_service: Service, quiet: None
) -> None:
    sync = Sync(shared_service, repository.folder, "hooks")
    for command in check_commands():
        accepted = run(command, repository)
        assert (accepted.returncode, accepted.stdout) == (0, "1 configuration and 1 schema are valid\n"), accepted
    await sync.apply()
    assert await sync.content("hooks", "limits") == {"max": 5}
    repository.commit({"applications/hooks/limits.yaml": FILES["applications/hooks/limits.yaml"] + "min: 017\n"})
    for command in check_commands():
        refused = run(command, repository)
        assert (refused.returncode, "applications/hooks/limits.yaml:3:6: " in refused.stderr) == (7, True), refused
    assert (await sync("plan")).code == 7


async def test_the_hook_runs_for_files_of_trees_wherever_they_are_and_the_guide_names_it() -> None:
    ours, local = hooks()
    assert ours["id"] == local["id"]
    assert f"same hook by the id `{ours['id']}`" in (PROJECT / GUIDE).read_text(encoding="utf-8")
    assert (ours["pass_filenames"], local["pass_filenames"]) == (False, False)
    for path in (*FILES, "conf/applications/hooks/_application.yaml"):
        assert re.search(ours["files"], path)
    assert not re.search(ours["files"], "README.md")


async def test_the_hook_and_the_step_install_what_checks_need() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours, local = hooks()
    # The hook checks contents, and renders no template.
    needed = [text for text in project["optional-dependencies"]["tools"] if not text.startswith("jinja2")]
    assert ours["additional_dependencies"] == needed
    assert local["additional_dependencies"] == ["configsvc[tools]"]
    assert steps()[:-1] == ["pip install 'configsvc[tools]'"]
