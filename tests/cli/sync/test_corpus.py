"""The worked example: real schemas and configurations in a Git repository, from the first sync to a rollback."""

import json
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

import pytest
import pytest_asyncio

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_FULL, Configuration
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_service_pb2 import ListSchemasRequest
from configsvc.cli.documents import parse_document, parse_json, yaml_text
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.tree import ConfigurationFile
from tests.cli.sync.repositories import Repository, needs_git, new_repository
from tests.cli.sync.syncing import Sync, quiet_service
from tests.cli.sync.trees import corpus_files
from tests.domain.jsonschema import corpus
from tests.domain.jsonschema.corpus import needs_corpus
from tests.service import Service

# Minutes on a machine that does much else.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600), needs_corpus, needs_git]


def by_letter(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files with an application for each letter that schemas begin with, and a folder for each schema."""
    moved: dict[str, str] = {}
    entries: dict[str, dict[str, Any]] = {}
    for path, text in files.items():
        parts = PurePosixPath(path).parts
        if parts[0] == "schemas":
            moved[path] = text
        elif parts[2] == "_application.yaml":
            letter = entries.setdefault(parts[1][0].lower(), {})
            letter |= {
                f"{parts[1]}/{name}": entry for name, entry in parse_document(text, path)["configurations"].items()
            }
        else:
            moved["/".join((parts[0], parts[1][0].lower(), *parts[1:]))] = text
    settings = {
        f"applications/{letter}/_application.yaml": yaml_text({"configurations": found})
        for letter, found in entries.items()
    }
    return moved | settings


@pytest_asyncio.fixture(loop_scope="module")
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Return a repository with the files."""
    made = new_repository(tmp_path_factory.mktemp("corpus") / "configs")
    made.git("remote", "add", "origin", "https://git.example.com/configs.git")
    made.commit(by_letter(corpus_files("valid")), subject="All of them")
    return made


@pytest_asyncio.fixture(loop_scope="module")
async def sync(shared_service: Service, repository: Repository) -> AsyncGenerator[Sync]:
    """Yield the commands, for the repository."""
    with quiet_service():
        yield Sync(shared_service, repository.folder, "")


async def stored(service: Service) -> dict[str, Configuration]:
    """Return all configurations by key."""
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


def in_files(sync: Sync) -> dict[str, ConfigurationFile]:
    tree = read_tree(sync.folder)
    return {
        f"{folder.name}/{file.name}": file
        for folder in tree.applications.values()
        for file in folder.configurations.values()
    }


async def check_stored(sync: Sync, files: Mapping[str, ConfigurationFile]) -> dict[str, Configuration]:
    """Compare everything that is stored with the files."""
    found = await stored(sync.service)
    assert {key: parse_json(one.config_json) for key, one in found.items()} == {
        key: file.config for key, file in files.items()
    }
    assert all(one.HasField("schema") for one in found.values())
    schemas = await sync.service.schemas.ListSchemas(ListSchemasRequest(latest=True, page_size=1000))
    assert {one.name for one in schemas.schemas} == set(corpus.documents())
    return found


async def test_real_configurations_are_synced_changed_drifted_pruned_renamed_and_rolled_back(
    sync: Sync, repository: Repository
) -> None:
    first = repository.git("rev-parse", "HEAD")
    files = in_files(sync)
    applied = await sync.apply()
    assert f"applied {len(files)} created, 0 changed, 0 renamed, 0 deleted" in applied.err
    assert len(files) == sum(not has_number_beyond(content) for content in valid_documents())
    before = await check_stored(sync, files)

    # Git changes a schema, which moves what is pinned to it; renames one, by its id; and removes others.
    changed, other = two_of_one_schema(before)
    schema = sync.folder / f"schemas/{changed.schema.schema}.json"
    schema.write_text(json.dumps(json.loads(schema.read_text()) | {"title": "changed"}))
    pinned = {key for key, one in before.items() if one.schema.schema == changed.schema.schema}
    renamed, *removed = [key for key in sorted(files) if key not in pinned][:6]
    rename(sync, files[renamed], before[renamed].id)
    remove(sync, [files[key] for key in removed])
    # Somebody else changes another one by hand, and that becomes a change of the files.
    await sync.set(changed.application, changed.name, json.loads(other.config_json))
    pulled = await sync.ok("pull", f"{changed.application}/{changed.name}")
    assert str(files[f"{changed.application}/{changed.name}"].path) in pulled.out
    commit = repository.commit(subject="Change, rename and remove")
    files = in_files(sync)
    applied = await sync.apply("--prune")
    assert f"applied 0 created, {len(pinned)} changed, 1 renamed, 5 deleted" in applied.err
    found = await check_stored(sync, files)
    assert found[f"{renamed}-renamed"].id == before[renamed].id
    assert {found[key].schema.version for key in pinned} == {2}
    origin = (await sync.service.audit.ListChanges(ListChangesRequest(page_size=1))).changes[0].origin
    assert (origin.change_request, origin.reason) == (commit, "Change, rename and remove (Ann <ann@example.com>)")

    # A rollback, over another change by hand.
    await sync.set(changed.application, changed.name, json.loads(changed.config_json))
    repository.git("revert", "--no-edit", f"{first}..HEAD")
    await sync.apply("--prune", "--on-drift", "revert")
    assert {key: one.config_json for key, one in (await stored(sync.service)).items()} == {
        key: one.config_json for key, one in before.items()
    }


def valid_documents() -> Iterator[Any]:
    """Yield the contents of all valid configurations, as another reader of YAML has them."""
    for schema in corpus.documents():
        for _, content in corpus.configurations(schema, "valid"):
            yield content


def has_number_beyond(content: Any) -> bool:
    """Return whether a content has a number that no configuration can have."""
    if isinstance(content, dict | list):
        return any(map(has_number_beyond, content.values() if isinstance(content, dict) else content))
    return isinstance(content, int | float) and abs(content) > 2**53 - 1


def two_of_one_schema(found: Mapping[str, Configuration]) -> tuple[Configuration, Configuration]:
    by_schema: dict[str, list[Configuration]] = {}
    for one in found.values():
        by_schema.setdefault(one.schema.schema, []).append(one)
    pairs = (ones for ones in by_schema.values() if len(ones) == 3 and ones[0].config_json != ones[1].config_json)
    first, second, _ = next(pairs)
    return first, second


@contextmanager
def settings_of(sync: Sync, file: ConfigurationFile) -> Generator[dict[str, Any]]:
    """Change what _application.yaml says of configurations."""
    path = sync.folder / f"applications/{file.application}/_application.yaml"
    content = parse_document(path.read_text(), str(path))
    yield content["configurations"]
    path.write_text(yaml_text(content))


def rename(sync: Sync, file: ConfigurationFile, identifier: str) -> None:
    path = sync.folder / file.path
    path.rename(path.with_name(f"{file.name.rpartition('/')[2]}-renamed{path.suffix}"))
    with settings_of(sync, file) as entries:
        entries[f"{file.name}-renamed"] = entries.pop(file.name) | {"id": identifier}


def remove(sync: Sync, files: list[ConfigurationFile]) -> None:
    for file in files:
        (sync.folder / file.path).unlink()
        with settings_of(sync, file) as entries:
            del entries[file.name]
