"""plan, apply, adopt, release and status against a real service."""

import asyncio
import json
import stat
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from configapi.v1.access_service_pb2 import ListRoleBindingsRequest
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, GetApplicationRequest
from configapi.v1.audit_service_pb2 import RESOURCE_KIND_CONFIGURATION, ListChangesRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_service_pb2 import GetSchemaRequest
from configsvc.cli import pb
from configsvc.cli.connection import Connection
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.session import Session
from configsvc.cli.sync import applying, requests
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.reading import read_tree
from tests.cli.running import Cli
from tests.cli.sync.repositories import needs_git, new_repository
from tests.cli.sync.syncing import Sync, quiet_service
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    """Return the name of an application for this test alone."""
    return request.node.name.removeprefix("test_")[:40].replace("_", "-").strip("-")


@pytest.fixture
def sync(shared_service: Service, tmp_path: Path, app: str) -> Generator[Sync]:
    """Yield the commands for files that are a source of their own."""
    with quiet_service():
        yield Sync(shared_service, tmp_path, f"repository-{app}")


def files(app: str, **contents: object) -> dict[str, object]:
    return {f"applications__{app}__{name}": content for name, content in contents.items()}


async def test_a_tree_is_created_changed_and_then_there_is_nothing_to_do(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, eu__api={"b": [1, 2]}))
    made = await sync("plan", "--detailed-exitcode")
    assert made.code == 2
    assert made.out.splitlines() == [
        f"+ application {app}: create",
        f"+ {app}/eu/api: create",
        f"+ {app}/web: create",
        "Plan: 2 to create, 0 to change, 0 to rename, 0 to delete.",
    ]
    applied = await sync.apply()
    assert "applied 2 created, 0 changed, 0 renamed, 0 deleted (revision " in applied.err
    assert await sync.content(app, "eu/api") == {"b": [1, 2]}
    assert (await sync.ok("plan", "--detailed-exitcode")).out.startswith("No changes")
    sync.write(**files(app, web={"a": 2, "c": "x"}))
    assert (await sync.ok("plan")).out.splitlines() == [
        f"~ {app}/web: update in place",
        "    ~ /a: 1 → 2",
        '    + /c: "x"',
        "Plan: 0 to create, 1 to change, 0 to rename, 0 to delete.",
    ]
    await sync.apply()
    assert (await sync.get(app, "web")).version == 2
    assert "nothing to change" in (await sync.apply()).err
    assert (await sync.get(app, "web")).version == 2


async def test_a_dry_run_checks_everything_and_changes_nothing(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    assert "would apply 1 created" in (await sync.ok("apply", "--dry-run")).err
    assert await sync.actions() == [("create", "web")]


async def test_without_a_terminal_apply_needs_to_be_confirmed(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    refused = await sync("apply")
    assert (refused.code, "--yes confirms it" in refused.err) == (2, True)
    assert await sync.actions() == [("create", "web")]


async def test_changes_have_the_commit_its_author_and_its_subject_as_their_origin(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    commit = Commit(
        repository=sync.repository,
        commit="4b825dc6",
        author="Ann <ann@example.com>",
        subject="More replicas" + "." * 2000,
    )
    await in_process(sync, commit)
    asked = ListChangesRequest(application=ApplicationRef(name=app))
    changes = (await sync.service.audit.ListChanges(asked)).changes
    assert {change.origin.change_request for change in changes} == {"4b825dc6"}
    reasons = {change.origin.reason for change in changes}
    assert all(reason.startswith("More replicas") and reason.endswith("(Ann <ann@example.com>)") for reason in reasons)
    assert {len(reason) for reason in reasons} == {1024}


async def in_process(sync: Sync, commit: Commit, options: applying.PlanOptions | None = None) -> applying.Result:
    """Apply as the agent does."""
    session = Session(server=sync.service.address)
    try:
        return await asyncio.to_thread(applying.run, session, sync.folder, commit, options or applying.PlanOptions())
    finally:
        session.close()


async def test_schemas_come_first_and_configurations_move_in_the_commit_that_changes_them(sync: Sync, app: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    sync.write(**{f"schemas__{app}": schema}, **files(app, web={"$schema": f"../../schemas/{app}.json", "n": 1}))
    made = await sync.ok("plan")
    assert f"+ schema {app}: create" in made.out
    assert f"+ {app}/web: create ({app}@1)" in made.out
    await sync.apply()
    assert (await sync.get(app, "web")).schema.version == 1
    # Neither content satisfies the other version.
    schema["properties"] = {"n": {"type": "string"}}
    sync.write(**{f"schemas__{app}": schema}, **files(app, web={"$schema": f"../../schemas/{app}.json", "n": "1"}))
    made = await sync.ok("plan")
    assert f"~ schema {app}: version 1 → 2" in made.out
    assert f"    ~ schema: {app}@1 → {app}@2" in made.out
    await sync.apply()
    web = await sync.get(app, "web")
    assert (json.loads(web.config_json), web.schema.version, web.version) == ({"n": "1"}, 2, 2)
    assert not (await sync.plan())["changes"]


async def test_nothing_changes_if_one_configuration_of_one_application_is_invalid(sync: Sync, app: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    line = f"../../schemas/{app}.json"
    sync.write(
        **{f"schemas__{app}": schema},
        **files(f"{app}.a", web={"$schema": line, "n": 1}),
        **files(f"{app}.b", web={"$schema": line, "n": "text"}),
    )
    refused = await sync("apply", "--yes")
    assert (refused.code, "/n" in refused.err) == (7, True)
    with pytest.raises(grpc.aio.AioRpcError):
        await sync.service.schemas.GetSchema(GetSchemaRequest(name=app))
    with pytest.raises(grpc.aio.AioRpcError):
        await sync.service.applications.GetApplication(GetApplicationRequest(name=f"{app}.a"))
    # With a schema that is stored already, the service checks.
    sync.write(**files(f"{app}.b", web={"$schema": line, "n": 1}))
    await sync.apply()
    sync.write(
        **files(f"{app}.a", web={"$schema": line, "n": 2}), **files(f"{app}.b", web={"$schema": line, "n": "text"})
    )
    refused = await sync("apply", "--yes")
    assert (refused.code, f"  {app}.b/web: /n: type: must be integer" in refused.err) == (7, True)
    assert refused.err.count("/n: ") == 1
    assert await sync.content(f"{app}.a", "web") == {"n": 1}


async def test_a_plan_finds_the_contents_that_apply_would_refuse(sync: Sync, app: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    line = f"../../schemas/{app}.json"
    invalid, saved = {"$schema": line, "n": "text"}, tmp_path / "plan.json"
    sync.write(**{f"schemas__{app}": schema}, **files(app, web=invalid))
    # A new schema is checked here, with the line in the file.
    refused = await sync("plan", "--out", str(saved))
    assert (refused.code, f"applications/{app}/web.json:3:3: /n: must be integer" in refused.err) == (7, True)
    assert (f"+ {app}/web: create" in refused.out, saved.exists()) == (True, False)
    sync.write(**files(app, web=invalid | {"n": 1}, api=invalid | {"n": 1}))
    await sync.apply()
    # The service checks with what it has.
    sync.write(**files(app, web=invalid))
    refused = await sync("plan", "--detailed-exitcode")
    assert (refused.code, f"  {app}/web: /n: type: must be integer" in refused.err) == (7, True)
    # What the new version of a schema does to a content that stays.
    schema["properties"]["n"] = {"type": "string"}  # type: ignore[index]
    sync.write(**{f"schemas__{app}": schema})
    refused = await sync("plan")
    assert (refused.code, f"applications/{app}/api.json:3:3: /n: must be string" in refused.err) == (7, True)
    assert await sync.content(app, "web") == {"n": 1}


async def test_who_may_not_apply_has_a_plan_checked_without_the_service(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"../../schemas/{app}.json"
    sync.write(**{f"schemas__{app}": {"properties": {"n": {"type": "integer"}}}})
    sync.write(**files(app, web={"$schema": line, "n": 1}))
    await sync.apply()
    real = Connection.call

    def call(self: Connection, method: Any, request: Any, *more: Any) -> Any:
        if isinstance(request, pb.ApplySourceRequest):
            raise CliError("the role editor is missing", ExitCode.NOT_PERMITTED, reason="PERMISSION_DENIED")
        return real(self, method, request, *more)

    monkeypatch.setattr(Connection, "call", call)
    sync.write(**files(app, web={"$schema": line, "n": 2}))
    made = await sync.ok("plan")
    assert "checked here alone, as you may not apply it: the role editor is missing" in made.err
    sync.write(**files(app, web={"$schema": line, "n": "text"}))
    refused = await sync("plan")
    assert (refused.code, f"applications/{app}/web.json:3:3: /n: must be integer" in refused.err) == (7, True)
    assert (await sync("apply", "--yes")).code == 4


async def test_a_plan_without_the_packages_for_checks_says_what_is_not_checked(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError(name="jsonschema_rs")

    monkeypatch.setattr("configsvc.cli.sync.checking.import_module", missing)
    sync.write(**files(app, web={"n": 1}))
    made = await sync.ok("plan")
    assert "not checked: a tree cannot be checked: the package jsonschema_rs is not installed; pip install" in made.err
    assert (await sync("apply", "--yes")).code == 1


async def test_drift_is_refused_reverted_or_reported(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, api={"a": 1}))
    await sync.apply()
    await sync.set(app, "web", {"a": 2})
    sync.write(**files(app, api={"a": 2}))
    refused = await sync("apply", "--yes")
    assert refused.code == 5
    assert f"error: {app}/web was changed (config; version 2) by hand since it was applied" in refused.err
    assert "sync pull" in refused.err
    assert f"! {app}/web: changed (config; version 2) by hand" in refused.out
    assert (await sync("plan", "--detailed-exitcode")).code == 5
    await sync.apply("--on-drift", "report")
    assert (await sync.content(app, "web"), await sync.content(app, "api")) == ({"a": 2}, {"a": 2})
    await sync.apply("--on-drift", "revert")
    assert await sync.content(app, "web") == {"a": 1}
    assert not (await sync.plan())["drift"]


async def test_prune_deletes_what_was_applied_and_nothing_else(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, api={"a": 1}), **files(f"{app}.gone", web={}))
    await sync.apply()
    await sync.create(app, "theirs", {"x": 1})
    sync.write(**files(app, api=None), **files(f"{app}.gone", web=None))
    (sync.folder / f"applications/{app}.gone").rmdir()
    kept = await sync.ok("plan", "--detailed-exitcode")
    assert f"  {app}/api: no longer in the files; --prune deletes it" in kept.out
    assert f"  {app}: 1 configuration not applied by any source: left alone" in kept.out
    refused = await sync("apply", "--yes", "--prune", "--prune-limit", "1")
    assert "2 of the 3 configurations of this source would be deleted, and the limit is 1" in refused.err
    shown = await sync.ok("plan", "--prune")
    assert shown.out.splitlines() == [
        f"- {app}/api: delete",
        f"  {app}: 1 configuration not applied by any source: left alone",
        f"- {app}.gone/web: delete",
        f"- application {app}.gone: delete",
        "Plan: 0 to create, 0 to change, 0 to rename, 2 to delete.",
    ]
    await sync.apply("--prune")
    assert (await sync.get(app, "theirs")).version == 1
    for application, name in ((app, "api"), (f"{app}.gone", "web")):
        with pytest.raises(grpc.aio.AioRpcError):
            await sync.get(application, name)
    with pytest.raises(grpc.aio.AioRpcError):
        await sync.service.applications.GetApplication(GetApplicationRequest(name=f"{app}.gone"))
    assert not (await sync.plan("--prune"))["changes"]


async def test_an_application_is_applied_in_one_commit(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, api={"a": 1}, old={"a": 1}))
    await sync.apply()
    old = await sync.get(app, "old")
    sync.write(**files(app, web={"a": 2}, api=None, old=None, renamed={"a": 1}, new={"a": 1}))
    sync.write_text(f"applications/{app}/_application.yaml", f"configurations: {{renamed: {{id: {old.id}}}}}\n")
    await sync.apply("--prune")
    asked = ListChangesRequest(application=ApplicationRef(name=app), kind=RESOURCE_KIND_CONFIGURATION)
    commits: dict[int, list[str]] = {}
    for change in (await sync.service.audit.ListChanges(asked)).changes:
        commits.setdefault(change.revision, []).append(change.name)
    assert {tuple(sorted(names)) for names in commits.values()} == {
        ("api", "old", "web"),
        ("api", "new", "renamed", "web"),
    }


async def test_a_rename_by_id_keeps_the_history(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    await sync.apply()
    web = await sync.get(app, "web")
    sync.write(**files(app, web=None, www={"a": 2}))
    sync.write_text(f"applications/{app}/_application.yaml", f'configurations:\n  www:\n    id: "{web.id}"\n')
    made = await sync.ok("plan")
    assert made.out.splitlines()[:2] == [f"-/+ {app}/web → {app}/www: rename", "    ~ /a: 1 → 2"]
    await sync.apply()
    www = await sync.get(app, "www")
    assert (www.id, www.version) == (web.id, 2)


async def test_a_name_that_a_rename_gives_up_is_taken_by_a_new_configuration(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    await sync.apply()
    one = await sync.get(app, "web")
    sync.write(**files(app, web={"a": 2}, www={"a": 1}))
    sync.write_text(f"applications/{app}/_application.yaml", f"configurations: {{www: {{id: {one.id}}}}}\n")
    await sync.apply()
    assert (await sync.get(app, "www")).id == one.id
    assert await sync.content(app, "web") == {"a": 2}


async def test_schemas_are_stored_as_their_files_have_them_and_checked_like_that_everywhere(
    sync: Sync, app: str
) -> None:
    document = {"type": "object", "properties": {"a": {"type": "integer"}}}
    sync.write(**{f"schemas__{app}": document})
    sync.write(**files(app, web={"$schema": f"../../schemas/{app}.json", "a": 1, "not declared": 1}))
    assert (await sync.run("sync", "plan", "--offline", str(sync.folder))).code == 0
    await sync.apply()
    stored = await sync.service.schemas.GetSchemaVersion(
        pb.GetSchemaVersionRequest(name=app, latest=True, format=CONTENT_FORMAT_JSON)
    )
    assert json.loads(stored.schema_version.document_json) == document
    assert (await sync.ok("plan")).out.startswith("No changes")


async def test_comments_pins_and_bindings_of_the_application_file_are_applied(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}))
    text = (
        "comments: the shop\nbindings:\n  - {{principal: {who}, role: editor}}\n"
        "configurations:\n  web: {{comments: of the web}}\n"
    )
    sync.write_text(f"applications/{app}/_application.yaml", text.format(who="user:ann"))
    await sync.apply()
    assert (await sync.get(app, "web")).comments == "of the web"
    found = await sync.service.applications.GetApplication(GetApplicationRequest(name=app, latest=True))
    assert found.application.comments == "the shop"
    assert await principals(sync, app) == ["user:ann"]
    sync.write_text(f"applications/{app}/_application.yaml", text.format(who="user:bob"))
    assert f"  {app}: user:ann is editor by hand; --prune removes it" in (await sync.ok("plan")).out
    await sync.apply()
    assert await principals(sync, app) == ["user:ann", "user:bob"]
    await sync.apply("--prune")
    assert await principals(sync, app) == ["user:bob"]
    assert not (await sync.plan("--prune"))["applications"][0]["removed_bindings"]


async def principals(sync: Sync, app: str) -> list[str]:
    request = ListRoleBindingsRequest(application=ApplicationRef(name=app), latest=True)
    return sorted(one.principal for one in (await sync.service.access.ListRoleBindings(request)).role_bindings)


# Ownership


async def test_what_exists_is_adopted_as_it_is_and_updated_by_the_next_plan(sync: Sync, app: str) -> None:
    await sync.service.applications.CreateApplication(CreateApplicationRequest(name=app))
    for name in ("same", "other", "theirs"):
        await sync.create(app, name, {"n": 1})
    sync.write(**files(app, same={"n": 1}, other={"n": 2}, new={"n": 3}))
    refused = await sync("plan")
    assert f"the application {app} has configurations, and no source owns it" in refused.err
    assert "sync adopt" in refused.err
    adopted = await sync.ok("adopt", "--yes")
    assert adopted.out.splitlines() == [
        f"{app}: adopts 2 configurations; 1 not in the files: left alone",
        f"~ {app}/other: update in place",
        "    ~ /n: 1 → 2",
    ]
    assert "adopted 2 configurations in 1 application" in adopted.err
    assert await sync.content(app, "other") == {"n": 1}
    assert "nothing to adopt" in (await sync.ok("adopt", "--yes")).err
    assert await sync.actions() == [("create", "new"), ("update", "other")]
    await sync.apply()
    assert (await sync.get(app, "same")).version == 1
    # One that others made later is adopted by itself.
    await sync.create(app, "late", {})
    sync.write(**files(app, late={}))
    assert f"{app}/late exists, and this source did not apply it" in (await sync("apply", "--yes")).err
    await sync.ok("adopt", "--yes")
    assert not await sync.actions()


async def test_what_was_deleted_and_created_again_by_hand_is_adopted(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"n": 1}))
    await sync.apply()
    await sync.delete(app, "web")
    await sync.create(app, "web", {"n": 2})
    for options in ((), ("--on-drift", "revert")):
        refused = await sync("apply", "--yes", *options)
        assert f"error: {app}/web was deleted and created again by hand since it was applied" in refused.err
        assert "`configsvc sync adopt` makes the new one this source's" in refused.err
    await sync.ok("adopt", "--yes")
    assert await sync.actions() == [("update", "web")]
    await sync.apply()
    assert await sync.content(app, "web") == {"n": 1}


async def test_an_application_has_one_source_until_that_releases_it(sync: Sync, app: str, tmp_path: Path) -> None:
    sync.write(**files(app, web={"a": 1}))
    await sync.apply()
    other = Sync(sync.service, sync.folder, f"other-{app}")
    for command in ("plan", "apply", "adopt"):
        refused = await other(command)
        assert refused.code == 5
        assert f"the application {app} belongs to another source: {sync.repository}" in refused.err
    released = await sync.ok("release", "--yes")
    assert f"{app}: {sync.repository}, 1 configuration\n" in released.err
    assert "nothing to release" in (await sync.ok("release", "--yes")).err
    await other.ok("adopt", "--yes")
    assert not await other.actions()
    await other.run("sync", "release", "--application", app, "--yes")
    await sync.ok("adopt", "--yes")


async def test_an_application_without_configurations_is_owned_again_after_it_was_released(sync: Sync, app: str) -> None:
    sync.write_text(f"applications/{app}/_application.yaml", "{}\n")
    for _ in range(3):
        await sync.apply()
        assert "released 1 application\n" in (await sync.ok("release", "--yes")).err


async def test_status_shows_drift_and_what_is_pending(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, api={"a": 1}, old={}))
    await sync.apply()
    await sync.set(app, "web", {"a": 2})
    sync.write(**files(app, api={"a": 2}, old=None))
    (row,) = json.loads((await sync.ok("status", "-o", "json")).out)
    assert {key: row[key] for key in ("application", "owned", "drift", "pending", "left")} == {
        "application": app,
        "owned": 3,
        "drift": 1,
        "pending": 1,
        "left": 1,
    }
    assert row["commit"].startswith("files-")
    assert app in (await sync.ok("status")).out


# Pull


async def test_pull_turns_changes_by_hand_into_changes_of_the_files_and_keeps_comments(sync: Sync, app: str) -> None:
    web = sync.write_text(f"applications/{app}/web.yaml", "# why\na: 1 # of a\nb: [1, 2]\n")
    settings = f"applications/{app}/_application.yaml"
    sync.write_text(settings, "# ours\nconfigurations:\n  web: {comments: old}  # of web\n  api: {comments: x}\n")
    sync.write(**files(app, api={"a": 1}, old={"a": 1}, gone={"a": 1}))
    await sync.apply()
    assert "nothing was changed by hand" in (await sync.ok("pull")).err
    await sync.set(app, "web", {"a": 2, "b": [1, 2], "c": "new"}, comments="by hand")
    await sync.set(app, "api", {"a": 2})
    await sync.set(app, "old", name="renamed")
    await sync.delete(app, "gone")
    one = await sync.ok("pull", f"{app}/api")
    assert one.out.splitlines() == [f"applications/{app}/api.json"]
    assert sorted(drift["name"] for drift in (await sync.plan())["drift"]) == ["gone", "renamed", "web"]
    pulled = await sync.ok("pull")
    assert f"applications/{app}/gone.json" in pulled.out
    assert web.read_text() == "# why\na: 2 # of a\nb: [1, 2]\nc: new\n"
    assert "# ours\n" in (sync.folder / settings).read_text()
    assert "by hand" in (sync.folder / settings).read_text()
    names = sorted(path.name for path in (sync.folder / f"applications/{app}").iterdir())
    assert names == ["_application.yaml", "api.json", "renamed.json", "web.yaml"]
    made = await sync.ok("plan", "--detailed-exitcode")
    assert made.out.startswith("No changes")
    await sync.apply()
    assert not json.loads((await sync.ok("status", "-o", "json")).out)[0]["drift"]
    assert (await sync("pull", f"{app}/web")).code == 3


async def test_pull_of_a_deletion_writes_no_application_file_unless_nothing_else_is_left(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1}, api={"a": 1}))
    await sync.apply()
    for name, changed in (("web", ["web.json"]), ("api", ["_application.yaml", "api.json"])):
        await sync.delete(app, name)
        pulled = await sync.ok("pull")
        assert pulled.out.splitlines() == [f"applications/{app}/{file}" for file in changed]


async def test_pull_keeps_what_git_has_changed_since_it_was_applied(sync: Sync, app: str) -> None:
    file = sync.write_text(f"applications/{app}/web.yaml", "a: 1 # of a\nb: 1 # of b\n")
    settings = sync.write_text(f"applications/{app}/_application.yaml", "configurations: {web: {comments: old}}\n")
    await sync.apply()
    await sync.set(app, "web", {"a": 9, "b": 1})
    identifier = (await sync.get(app, "web")).id
    file.rename(file.with_name("www.yaml")).write_text("a: 1 # of a\nb: 2 # of b\n")
    settings.write_text(f"configurations: {{www: {{comments: new, id: {identifier}}}}}\n")
    refused = await sync("plan")
    assert (refused.code, "No changes" in refused.out) == (5, False)
    assert (await sync.ok("pull")).out.splitlines() == [f"applications/{app}/www.yaml"]
    assert file.with_name("www.yaml").read_text() == "a: 9 # of a\nb: 2 # of b\n"
    assert "comments: new" in settings.read_text()
    await sync.apply()
    assert await sync.content(app, "www") == {"a": 9, "b": 2}


# Saved plans


async def test_a_saved_plan_is_applied_as_it_was_shown(sync: Sync, app: str, tmp_path: Path) -> None:
    sync.write(**files(app, web={"a": 1}))
    plan = str(tmp_path / "plan.json")
    Path(plan).touch(mode=0o644)
    shown = await sync.ok("plan", "--out", plan)
    # It has contents.
    assert stat.S_IMODE(Path(plan).stat().st_mode) == 0o600
    applied = await sync.run("sync", "apply", plan)
    assert (applied.code, applied.out) == (0, shown.out)
    assert await sync.content(app, "web") == {"a": 1}
    again = await sync.run("sync", "apply", plan)
    assert (again.code, "the service changed since the plan was saved" in again.err) == (5, True)


async def test_a_saved_plan_is_refused_if_the_files_or_the_service_moved_on(
    sync: Sync, app: str, tmp_path: Path
) -> None:
    sync.write(**files(app, web={"a": 1}))
    await sync.apply()
    plan = str(tmp_path / "plan.json")
    sync.write(**files(app, web={"a": 2}))
    await sync.ok("plan", "--out", plan)
    sync.write(**files(app, web={"a": 3}))
    refused = await sync.run("sync", "apply", plan)
    assert (refused.code, "changed since the plan was saved" in refused.err) == (5, True)
    sync.write(**files(app, web={"a": 2}))
    # Of no effect on the plan, but after its revision.
    await sync.create(app, "theirs", {})
    await sync.delete(app, "theirs")
    refused = await sync.run("sync", "apply", plan)
    assert (refused.code, "PRECONDITION_FAILED" in refused.err) == (5, True)
    assert f"error: the application {app} changed since the plan was made" in refused.err
    assert await sync.content(app, "web") == {"a": 1}
    document = json.loads(Path(plan).read_text())
    document["plan"]["epoch"] = "another"
    Path(plan).write_text(json.dumps(document))
    refused = await sync.run("sync", "apply", plan)
    assert "the plan is for another service" in refused.err
    for damaged in ("{}", '{"configsvc_plan": 1}', '{"configsvc_plan": 2}', "no"):
        Path(plan).write_text(damaged)
        assert (await sync.run("sync", "apply", plan)).code == 7


# Interruptions and size


async def test_an_apply_that_was_interrupted_between_two_applications_is_completed_by_the_next_one(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.write(**files(f"{app}.a", web={"n": 1}), **files(f"{app}.b", web={"n": 1}), **files(f"{app}.c", web={"n": 1}))
    real = applying.parts_of
    killed = [False]

    def parts_of(plan: applying.ApplicationPlan, identifier: str) -> list[requests.Part]:
        if plan.name.endswith(".b") and not killed[0]:
            killed[0] = True
            raise KeyboardInterrupt
        return real(plan, identifier)

    monkeypatch.setattr(applying, "parts_of", parts_of)
    assert (await sync("apply", "--yes")).code == 130
    # The application of b was made, and is empty.
    assert await sync.actions() == [("create", "web"), ("create", "web")]
    await sync.apply()
    assert not await sync.actions()
    assert [(await sync.get(f"{app}.{one}", "web")).version for one in "abc"] == [1, 1, 1]


def racing(monkeypatch: pytest.MonkeyPatch, race: Callable[[Connection, str], None]) -> None:
    """Let others act just before each commit of an application: when everything has been checked."""
    real = Connection.call

    def call(self: Connection, method: Any, request: Any, *more: Any) -> Any:
        if isinstance(request, pb.ApplySourceRequest) and not request.validate_only:
            race(self, request.application.id)
        return real(self, method, request, *more)

    monkeypatch.setattr(Connection, "call", call)


async def test_an_application_that_is_refused_keeps_no_other_from_being_applied(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{app}.{one}" for one in "abcd"]
    for name in names:
        sync.write(**files(name, web={"n": 1}))
    await sync.apply()
    for name in names:
        sync.write(**files(name, web={"n": 2}))
    slow = {
        (await sync.service.applications.GetApplication(GetApplicationRequest(name=name))).application.id: name
        for name in names[1:3]
    }

    def change(calls: Connection, application_id: str) -> None:
        if name := slow.pop(application_id, ""):
            item = pb.Configuration(comments="by hand")
            key = pb.ConfigurationKey(application=name, name="web")
            request = pb.UpdateConfigurationRequest(key=key, configuration=item)
            calls.call(calls.configurations.UpdateConfiguration, request)

    with monkeypatch.context() as patch:
        racing(patch, change)
        refused = await sync("apply", "--yes")
    assert (refused.code, refused.err.splitlines()[-4:]) == (
        5,
        [
            "error: 2 of 4 applications refused; 2 applied (PRECONDITION_FAILED)",
            f"  {names[1]}: the application {names[1]} changed since the plan was made (PRECONDITION_FAILED)",
            f"  {names[2]}: the application {names[2]} changed since the plan was made (PRECONDITION_FAILED)",
            "hint: Run it again for those that are refused. Make a new plan, which starts from what is there now.",
        ],
    )
    assert [(await sync.content(name, "web"))["n"] for name in names] == [2, 1, 1, 2]
    # It completes what was left, as after any interruption.
    await sync.apply()
    assert [(await sync.content(name, "web"))["n"] for name in names] == [2, 2, 2, 2]


async def test_what_every_call_would_meet_ends_an_apply_at_once_and_it_says_what_it_did(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in "abc":
        sync.write(**files(f"{app}.{one}", web={"n": 1}))
    tried: list[str] = []

    def go_away(_: Connection, application_id: str) -> None:
        tried.append(application_id)
        if len(tried) == 2:
            raise CliError("the database is away", ExitCode.UNAVAILABLE, reason="DATABASE_UNAVAILABLE")

    with monkeypatch.context() as patch:
        racing(patch, go_away)
        failed = await sync("apply", "--yes")
    assert (failed.code, len(tried)) == (6, 2)
    assert "error: the database is away (DATABASE_UNAVAILABLE)\n  applied 1 of 3 applications\n" in failed.err
    await sync.apply()


async def test_more_than_one_commit_can_take_is_made_in_several(sync: Sync, app: str) -> None:
    many = {f"c{number:04}": {"n": number, "text": "x" * 5000} for number in range(1100)}
    sync.write(**files(app, **many))
    applied = await sync.apply()
    assert f"{app}: too much for one commit; applied in 2 commits" in applied.err
    assert not await sync.actions()


async def test_the_same_plan_applied_twice_writes_once(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"n": 1}))
    commit = Commit(repository=sync.repository, commit="c1")
    made = (await in_process(sync, commit)).plan
    session = Session(server=sync.service.address)
    tree = applying.Files(directory=sync.folder, tree=read_tree(sync.folder))
    with pytest.raises(CliError, match="already exists"):
        await asyncio.to_thread(applying.apply_plan, session, made, tree, commit)
    assert (await sync.get(app, "web")).version == 1
    # A call whose answer was lost is repeated with the same id, by this program and by the next one.
    (request,) = (requests.parts_of(one, "01ARZ3NDEKTSV4RRFFQ69G5FAV")[0].writes[0] for one in made.applications)
    same, later = requests.request_id(made, request), requests.request_id(replace(made, revision=2), request)
    assert (requests.request_id(made, request), later == same) == (same, False)
    session.close()


async def test_a_service_that_fails_in_the_middle_is_an_error_and_no_plan(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.write(**files(app, web={"n": 1}), **files(f"{app}.b", web={"n": 1}))
    await sync.apply()
    real = Connection.call
    failing: list[str] = []

    def call(self: Connection, method: Any, request: Any, *more: Any) -> Any:
        name = type(request).__name__
        if name in failing:
            raise CliError("the connection broke", ExitCode.UNAVAILABLE)
        return real(self, method, request, *more)

    monkeypatch.setattr(Connection, "call", call)
    for name in (
        *("ListSourcesRequest", "ListApplicationsRequest", "ListConfigurationsRequest"),
        *("ListAppliedConfigurationsRequest", "ListSchemasRequest"),
    ):
        failing[:] = [name]
        failed = await sync("plan", "--prune")
        assert (failed.code, failed.out) == (6, "")


async def test_an_apply_between_the_parts_of_a_reading_is_noticed(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.write(**files(app, web={"n": 1}))
    await sync.apply()
    real = Connection.call
    applied: list[int] = []

    def call(self: Connection, method: Any, request: Any, *more: Any) -> Any:
        answer = real(self, method, request, *more)
        if type(request).__name__ == "ListApplicationsRequest" and len(applied) < 2:
            applied.append(0)
            source = pb.SourceRevision(repository=sync.repository, commit=f"c{len(applied)}")
            etag = real(self, self.sources.ListSources, pb.ListSourcesRequest(application=pb.ApplicationRef(name=app)))
            other = pb.ApplySourceRequest(
                application=pb.ApplicationRef(name=app), source=source, expected_etag=etag.sources[0].etag
            )
            real(self, self.sources.ApplySource, other)
        return answer

    monkeypatch.setattr(Connection, "call", call)
    assert (await sync.ok("plan")).out.startswith("No changes")
    assert len(applied) == 2
    applied[:] = []
    monkeypatch.setattr("configsvc.cli.sync.live._ATTEMPTS", 1)
    refused = await sync("plan")
    assert (refused.code, "change while they are read" in refused.err) == (5, True)


# Git, and a terminal


@needs_git
async def test_files_that_are_not_as_in_the_commit_are_named_and_not_applied(sync: Sync, app: str) -> None:
    repository = new_repository(sync.folder / "clone")
    repository.git("remote", "add", "origin", f"https://ann:secret@git.example.com/{app}.git")
    folder = repository.folder / "live"
    of_git = Sync(sync.service, folder, "")
    of_git.write(**files(app, web={"n": 1}))
    repository.commit(subject="First")
    await of_git.apply()
    made = await of_git.plan()
    assert made["source"] == {"repository": f"git.example.com/{app}", "path": "live"}
    of_git.write(**files(app, web={"n": 2}))
    shown = await of_git.ok("plan")
    assert f"not as in the commit, and `apply` will ask to commit them: applications/{app}/web.json" in shown.err
    for refused in (await of_git("apply", "--yes"), await of_git("plan", "--out", str(sync.folder / "plan"))):
        assert (refused.code, "Commit them first" in refused.err) == (2, True)
    assert await sync.content(app, "web") == {"n": 1}
    await of_git.ok("release", "--yes")


async def test_a_plan_is_a_document_for_programs(sync: Sync, app: str) -> None:
    sync.write(**files(app, web={"a": 1, "b": {}}, old={}))
    await sync.apply()
    sync.write(**files(app, web={"a": 2}, new={"x": 0.1}, old=None))
    made = await sync.plan("--prune")
    assert (made["format"], made["source"]) == (1, {"repository": sync.repository, "path": ""})
    assert made["summary"] == {
        "create": 1,
        "update": 1,
        "rename": 0,
        "delete": 1,
        "schemas": 0,
        "drift": 0,
        "left": 0,
        "unmanaged": 0,
    }
    created, deleted, updated = sorted(made["changes"], key=lambda change: change["action"])
    assert (created["name"], created["config"], created["schema"]) == ("new", {"x": 0.1}, None)
    assert (deleted["name"], deleted["version"], deleted["path"]) == ("old", 1, None)
    assert updated["patch"] == [{"op": "replace", "path": "/a", "value": 2}, {"op": "remove", "path": "/b"}]
    assert updated["path"] == f"applications/{app}/web.json"
    named = await sync.ok("plan", "-o", "name")
    assert sorted(named.out.splitlines()) == [f"{app}/new", f"{app}/web"]


async def test_on_a_terminal_apply_shows_the_plan_and_asks(sync: Sync, app: str, cli: Cli) -> None:
    sync.write(**files(app, web={"a": 1}))
    arguments = ("sync", "apply", str(sync.folder), "--repository", sync.repository)
    async with cli.terminal(*arguments) as terminal:
        await terminal.wait_for(f"\x1b[32m+ {app}/web: create\x1b[0m")
        await terminal.wait_for("Apply 1 created, 0 changed, 0 renamed, 0 deleted? [y/N] ")
        terminal.type("n")
        await terminal.wait_for("not confirmed; nothing was changed")
        assert await terminal.end() == 2
    assert await sync.actions() == [("create", "web")]
    async with cli.terminal(*arguments) as terminal:
        await terminal.wait_for("[y/N] ")
        terminal.type("y")
        await terminal.wait_for("applied 1 created")
        assert await terminal.end() == 0
    assert await sync.content(app, "web") == {"a": 1}


async def test_who_may_not_do_all_of_a_plan_does_nothing_of_it(
    sync: Sync, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.write(**files(app, web={"n": 1}))
    await sync.apply()
    sync.write(**files(app, web={"n": 2}))
    sync.write_text(f"applications/{app}/_application.yaml", "comments: new\n")
    real = Connection.call

    def call(self: Connection, method: Any, request: Any, *more: Any) -> Any:
        if isinstance(request, pb.UpdateApplicationRequest):
            raise CliError("the role admin is missing", ExitCode.NOT_PERMITTED)
        return real(self, method, request, *more)

    monkeypatch.setattr(Connection, "call", call)
    assert (await sync("apply", "--yes")).code == 4
    assert await sync.content(app, "web") == {"n": 1}
    assert (await sync("plan", "--prune-limit", "3")).code == 2
