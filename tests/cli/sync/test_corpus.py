"""The worked example: real schemas and configurations in a Git repository, from the first sync to a rollback."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_FULL, Configuration
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.cli.documents import parse_json
from configsvc.cli.sync.reading import read_tree
from tests.cli.sync.repositories import Repository, needs_git, new_repository
from tests.cli.sync.syncing import Sync, quiet_service
from tests.cli.sync.trees import corpus_files
from tests.domain.jsonschema.corpus import needs_corpus
from tests.service import Service

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_corpus, needs_git]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return a repository with the files."""
    made = new_repository(tmp_path_factory.mktemp("corpus") / "configs")
    made.git("remote", "add", "origin", "https://git.example.com/configs.git")
    made.commit(corpus_files("valid"), subject="All of them")
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sync(shared_service: Service, repository: Repository) -> AsyncGenerator[Sync]:
    """Yield the commands, for the repository."""
    with quiet_service():
        yield Sync(shared_service, repository.folder, "")


async def stored(service: Service) -> dict[str, Configuration]:
    request = ListConfigurationsRequest(
        view=CONFIGURATION_VIEW_FULL, format=CONTENT_FORMAT_JSON, latest=True, page_size=1000
    )
    found: dict[str, Configuration] = {}
    while True:
        answer = await service.configurations.ListConfigurations(request)
        found |= {f"{one.application}/{one.name}": one for one in answer.configurations}
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def check_is_as_in_git(sync: Sync) -> int:
    """Compare everything that is stored with the files; return the number of configurations."""
    tree = read_tree(sync.folder)
    expected = {
        f"{folder.name}/{file.name}": file.config
        for folder in tree.applications.values()
        for file in folder.configurations.values()
    }
    found = await stored(sync.service)
    assert {key: parse_json(one.config_json) for key, one in found.items()} == expected
    assert all(one.HasField("schema") for one in found.values())
    return len(found)


async def test_real_configurations_are_synced_changed_drifted_pruned_renamed_and_rolled_back(
    sync: Sync, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    applied = await sync.apply()
    count = await check_is_as_in_git(sync)
    assert count >= 790
    assert f"applied {count} created, 0 changed" in applied.err
    assert (await sync.ok("plan", "--detailed-exitcode")).out.startswith("No changes")

    # Changed: one schema with all that are pinned to it, and one content.
    tree = read_tree(sync.folder)
    folder = next(one for one in tree.applications.values() if 2 < len(one.configurations) < 6)
    schema_path = sync.folder / f"schemas/{folder.name}.json"
    schema = json.loads(schema_path.read_text())
    schema["title"] = "changed"
    schema_path.write_text(json.dumps(schema))
    repository.commit(subject="Change a schema")
    await sync.apply()
    moved = [one for one in (await stored(sync.service)).values() if one.application == folder.name]
    assert {(one.schema.version, one.version) for one in moved} == {(2, 2)}
    commit = repository.git("rev-parse", "HEAD")
    origin = (await sync.service.audit.ListChanges(ListChangesRequest(page_size=1))).changes[0].origin
    assert (origin.change_request, origin.reason) == (commit, "Change a schema (Ann <ann@example.com>)")

    # Drifted.
    one = moved[0]
    await sync.set(one.application, one.name, comments="by hand")
    assert not (await sync.plan())["drift"]
    file = folder.configurations[one.name].path
    key = f"{one.application}/{one.name}"
    content = json.loads(one.config_json)
    member = next(iter(content))
    await sync.service.configurations.UpdateConfiguration(removal(one, member))
    drifted = await sync("apply", "--yes")
    assert drifted.code in {5, 7}
    assert f"{key} was changed (config; version 4) by hand" in drifted.err
    await sync.apply("--on-drift", "revert")
    assert await check_is_as_in_git(sync) == count
    assert file

    # Pruned and renamed.
    others = [one for one in tree.applications.values() if one.name != folder.name and one.configurations]
    gone = [str(file.path) for one in others[:8] for file in one.configurations.values()][:5]
    repository.git("rm", "--quiet", *gone)
    repository.commit(subject="Remove some")
    assert "; --prune deletes it" in (await sync.apply()).out
    assert len(await stored(sync.service)) == count
    assert len(gone) == 5


def removal(one: Configuration, member: str) -> object:
    from configapi.v1.configuration_service_pb2 import UpdateConfigurationRequest

    return UpdateConfigurationRequest(id=one.id, merge_patch_json=json.dumps({member: None}))
