"""Export, import and operations, as a process against a real service."""

import json
import os
import stat

import pytest

from tests.cli.running import Cli

pytestmark = pytest.mark.asyncio(loop_scope="module")


def items(application: str, *contents: object) -> str:
    return json.dumps(
        [{"application": application, "name": f"c{n}", "config": content} for n, content in enumerate(contents)]
    )


async def test_an_export_is_imported_as_it_was(cli: Cli, application: str) -> None:
    schema = '{"type": "object", "properties": {"n": {}}}'
    await cli.ok("schema", "create", application, "-f", "-", stdin=schema)
    await cli.ok("app", "create", application)
    for name, content in (("web", '{"n": 9007199254740991}'), ("eu/web", '{"n": 0.1}')):
        await cli.ok(
            *("config", "create", f"{application}/{name}", "-f", "-", "--schema", application, "--comments", "é"),
            stdin=content,
        )
    exported = await cli.ok("config", "export", application, "-f", "shop.json")
    assert exported.err.startswith("exported 2 configurations at revision ")
    text = (cli.folder / "shop.json").read_text(encoding="utf-8")
    assert [one["config"] for one in json.loads(text)["configurations"]] == [{"n": 0.1}, {"n": 9007199254740991}]
    assert text == (await cli.ok("config", "export", application)).out
    await cli.ok("app", "delete", application, "--force", "--yes")
    done = await cli.ok("config", "import", "-f", "shop.json", "--create-applications", "--wait")
    assert done.err.endswith(" succeeded: 2 created\n")
    again = json.loads((await cli.ok("config", "export", application)).out)
    assert again["configurations"] == json.loads(text)["configurations"]
    same = await cli.ok("config", "import", "-f", "shop.json", "--replace", "--wait")
    assert same.err.endswith(" succeeded: 2 unchanged\n")


async def test_an_export_keeps_links_modes_and_pipes(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    file, link, pipe = (cli.folder / name for name in ("file", "link", "pipe"))
    file.touch(mode=0o600)
    link.symlink_to(file)
    os.mkfifo(pipe)
    await cli.ok("config", "export", application, "-f", "link")
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    await cli.ok("config", "export", application, "-f", "pipe")
    assert os.read(reading, 65536) == file.read_bytes()
    os.close(reading)
    assert pipe.is_fifo()
    assert (await cli.ok("config", "export", application, "-f", "/dev/stdout")).out == file.read_text()
    (cli.folder / "loop").symlink_to("loop")
    await cli.ok("config", "export", application, "-f", "loop")
    refused = await cli("config", "export", application, "-f", "file/inside")
    assert (refused.code, refused.err) == (1, "error: cannot write file/inside: Not a directory\n")


async def test_an_import_of_many_goes_in_several_messages(cli: Cli, application: str) -> None:
    cli.write("many.json", items(application, *({"n": n, "text": "x" * 2000} for n in range(1200))))
    done = await cli.ok("config", "import", "-f", "many.json", "--create-applications", "--wait", "--reason", "many")
    assert done.err.endswith(" succeeded: 1200 created\n")
    listed = (await cli.ok("config", "list", application, "-o", "name")).out.splitlines()
    assert len(listed) == 1200


async def test_a_failed_import_lists_what_failed_and_exits_with_7(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    cli.write("items.json", items(application, {}, {"$configsvc": 1}))
    failed = await cli("config", "import", "-f", "items.json", "--wait")
    assert failed.code == 7
    assert f"item 1, {application}/c1: " in failed.err
    assert (await cli.ok("config", "list", application, "-o", "name")).out == ""
    identifier = failed.err.split("operation items ")[1].split()[0]
    listed = (await cli.ok("operation", "items", identifier, "--failed", "-o", "name")).out
    assert listed == f"{application}/c1\n"
    assert (await cli("operation", "wait", identifier)).code == 7
    partly = await cli("config", "import", "-f", "items.json", "--wait", "--per-item")
    assert partly.code == 7
    assert "1 created, 1 failed" in partly.err
    assert f"item 1, {application}/c1: " in partly.err
    existing = await cli("config", "import", "-f", cli.write("one.json", items(application, {})), "--wait")
    assert f"configuration {application}/c0 already exists" in existing.err
    assert "--replace" in existing.err


async def test_without_wait_the_operation_is_printed_and_can_be_followed(cli: Cli, application: str) -> None:
    cli.write("items.json", items(application, {}))
    started = await cli.ok("config", "import", "-f", "items.json", "--create-applications")
    identifier = started.out.strip()
    assert identifier in started.err
    await cli.ok("operation", "wait", identifier)
    found = (await cli.ok("operation", "get", identifier, "-o", "json")).json
    assert found["metadata"]["state"] == "STATE_SUCCEEDED"
    assert identifier in (await cli.ok("operation", "list")).out
    await cli.ok("operation", "delete", identifier)
    assert (await cli("operation", "get", identifier)).code == 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "no list of configurations"),
        ("[]", "has no configurations"),
        ('[{"name": "a"}]', "item 0 needs application, name and config"),
        ('[{"application": "a", "name": "b", "config": {}, "confg": 1}]', "unknown members: confg"),
        ('[{"application": "a", "name": "b", "config": {}}, {"application": "a", "name": "b", "config": {}}]', "twice"),
        ('[{"application": 1, "name": "b", "config": {}}]', "item 0"),
        ('[{"application": "a", "name": "b", "config": {}, "config": {}}]', ":1:"),
    ],
)
async def test_a_wrong_file_is_refused_before_anything_is_sent(cli: Cli, text: str, fault: str) -> None:
    refused = await cli("config", "import", "-f", cli.write("items.json", text), CONFIGSVC_SERVER="127.0.0.1:1")
    assert refused.code == 7
    assert fault in refused.err


async def test_a_migration_moves_configurations_to_another_version(cli: Cli, application: str) -> None:
    first = '{"type": "object", "properties": {"n": {}}}'
    second = '{"type": "object", "properties": {"m": {}}, "required": ["m"]}'
    await cli.ok("schema", "create", application, "-f", "-", stdin=first)
    await cli.ok("app", "create", application)
    await cli.ok("config", "create", f"{application}/web", "-f", "-", "--schema", application, stdin='{"n": 1}')
    refused = await cli("schema", "apply", application, "-f", "-", stdin=second)
    assert refused.code == 7
    checked = await cli("schema", "check", application, "-f", "-", stdin=second)
    assert (checked.code, checked.out.splitlines()[0]) == (7, f"{application}/web")
    await cli.ok("schema", "apply", application, "-f", "-", "--pinned", stdin=second)
    patch = '[{"op": "move", "from": "/n", "path": "/m"}]'
    await cli.ok("schema", "migrate", f"{application}@2", application, "--patch", patch, "--wait")
    found = (await cli.ok("config", "get", f"{application}/web", "-o", "json")).json
    assert (found["config"], found["schema"]["version"]) == ({"m": 1}, 2)
    assert [row["version"] for row in (await cli.ok("schema", "history", application, "-o", "json")).json] == [2, 1]
    used = await cli("schema", "delete", application, "--yes")
    assert used.code == 5
    await cli.ok("config", "update", f"{application}/web", "--no-schema")
    await cli.ok("schema", "delete", application, "--yes")
