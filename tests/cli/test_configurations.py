"""The commands of configurations, as a process against a real service."""

import asyncio
import json

import pytest

from tests.cli.running import Cli
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = '{"replicas": 3, "tls": {"port": 8443}, "hosts": ["a", "b"]}'


async def prepared(cli: Cli, application: str, content: str = CONTENT) -> str:
    """Create an application with a configuration; return the key."""
    await cli.ok("app", "create", application)
    key = f"{application}/web"
    await cli.ok("config", "create", key, "-f", "-", "--reason", "first", stdin=content)
    return key


async def test_data_goes_to_standard_output_and_talk_to_standard_error(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    created = await cli.ok("config", "create", f"{application}/web", "-f", "-", stdin=CONTENT)
    assert created.out == ""
    assert created.err.startswith(f"created {application}/web, version 1 (revision ")
    printed = await cli.ok("config", "create", f"{application}/api", "-f", "-", "-o", "name", stdin="{}")
    assert printed.out == f"{application}/api\n"


async def test_a_configuration_is_printed_as_table_json_yaml_and_name(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    table = await cli.ok("config", "get", key)
    assert "version:  1" in table.out
    assert '"port": 8443' in table.out
    assert (await cli.ok("config", "get", key, "-o", "table")).out == table.out
    found = (await cli.ok("config", "get", key, "-o", "json")).json
    assert (found["application"], found["name"], found["version"]) == (application, "web", 1)
    assert found["config"] == json.loads(CONTENT)
    assert "  tls:\n    port: 8443\n" in (await cli.ok("config", "get", key, "-o", "yaml")).out
    assert (await cli.ok("config", "get", key, "-o", "name")).out == f"{key}\n"


async def test_a_part_of_a_content_is_printed_by_its_json_pointer(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    assert (await cli.ok("config", "get", key, "/tls/port")).out == "8443\n"
    assert (await cli.ok("config", "get", key, "/hosts/0")).out == "a\n"
    assert (await cli.ok("config", "get", key, "/hosts/0", "-o", "json")).out == '"a"\n'
    assert (await cli.ok("config", "get", key, "/")).json == json.loads(CONTENT)
    missing = await cli("config", "get", key, "/tls/host")
    assert (missing.code, missing.out) == (3, "")
    assert "/tls has the members port" in missing.err


async def test_numbers_are_never_rounded_on_their_way(cli: Cli, application: str) -> None:
    content = '{"big": 9007199254740991, "whole": 3, "small": 1e-7, "fraction": 0.1}'
    key = await prepared(cli, application, content)
    text = (await cli.ok("config", "get", key, "/")).out
    assert '"big": 9007199254740991' in text
    assert '"whole": 3' in text
    assert json.loads(text) == json.loads(content)


async def test_numbers_of_a_schema_that_no_double_can_hold_stay_exact(cli: Cli, application: str) -> None:
    largest = 10**30 + 1
    document = f'{{"type": "object", "properties": {{"n": {{"type": "integer", "maximum": {largest}}}}}}}'
    await cli.ok("schema", "create", application, "-f", "-", stdin=document)
    assert (await cli.ok("schema", "get", application)).json["properties"]["n"]["maximum"] == largest


async def test_schemas_are_listed_by_prefix_with_their_newest_version(cli: Cli, application: str) -> None:
    for name in ("a", "b", "other"):
        own = f"{application}.{name}"
        await cli.ok("schema", "create", own, "-f", "-", "--comments", f"for {name}", stdin='{"type": "object"}')
    table = await cli.ok("schema", "list", application)
    head, *rows = [line.split() for line in table.out.splitlines()]
    assert head == ["NAME", "LATEST", "UPDATED", "COMMENTS"]
    assert [(row[0], row[1], row[-1]) for row in rows] == [(f"{application}.{n}", "1", n) for n in ("a", "b", "other")]
    assert (await cli.ok("schema", "list", f"{application}.o", "-o", "name")).out == f"{application}.other\n"
    assert (await cli.ok("schema", "list", application, "--limit", "2", "-o", "json")).json[1]["latest_version"] == 1
    assert (await cli.ok("schema", "list", f"{application}.none")).err == "nothing found\n"


async def test_a_list_is_filtered_by_folder_prefix_schema_and_content(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    await cli.ok("schema", "create", application, "-f", "-", stdin='{"type": "object", "properties": {"n": {}}}')
    for name, content in (("eu/web", '{"n": 1}'), ("eu/api", '{"n": 5}'), ("eu2", "{}")):
        await cli.ok("config", "create", f"{application}/{name}", "-f", "-", stdin=content)
    await cli.ok("config", "update", f"{application}/eu2", "--schema", application)

    async def listed(*arguments: str) -> list[str]:
        out = (await cli.ok("config", "list", *arguments, "-o", "name")).out
        return [line.removeprefix(f"{application}/") for line in out.splitlines()]

    assert await listed(application) == ["eu/api", "eu/web", "eu2"]
    assert await listed(f"{application}/eu/") == ["eu/api", "eu/web"]
    assert await listed(f"{application}/eu*", "--limit", "2") == ["eu/api", "eu/web"]
    assert await listed(f"{application}/eu2") == ["eu2"]
    assert await listed(application, "--schema", f"{application}@1") == ["eu2"]
    assert await listed(application, "--contains", '{"n": 5}') == ["eu/api"]
    assert await listed(application, "--where", "$.n > 1") == ["eu/api"]
    as_json = (await cli.ok("config", "list", application, "-o", "json")).json
    assert [found["config"] for found in as_json] == [{"n": 5}, {"n": 1}, {}]


async def test_set_and_unset_change_one_value_and_keep_the_rest(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    done = await cli.ok("config", "set", key, "/limits/rate", "100", "--reason", "load", "--change-request", "OPS-1")
    assert done.err.startswith(f"changed {key}, version 2 ")
    await cli.ok("config", "set", key, "/hosts/-", "c")
    await cli.ok("config", "set", key, "/hosts/0", '{"name": "x"}')
    await cli.ok("config", "set", key, "/name", "017", "--string")
    await cli.ok("config", "set", key, "/offset", "-5")
    await cli.ok("config", "unset", key, "/tls/port")
    assert (await cli.ok("config", "get", key, "/")).json == {
        "replicas": 3,
        "tls": {},
        "hosts": [{"name": "x"}, "b", "c"],
        "limits": {"rate": 100},
        "name": "017",
        "offset": -5,
    }
    assert "nothing to change" in (await cli.ok("config", "set", key, "/name", "017", "--string")).err


async def test_set_takes_a_value_as_a_whole_or_not_at_all(cli: Cli, application: str) -> None:
    key = await prepared(cli, application, "{}")
    taken = {"plain text": "plain text", "{a: [x, 1]}": {"a": ["x", 1]}, r'"\ud83d\ude00 #1"': "😀 #1", "null": None}
    for value, expected in taken.items():
        await cli.ok("config", "set", key, "/x", value)
        assert (await cli.ok("config", "get", key, "/x", "-o", "json")).json == expected
    for value in (
        "p@ss #1",
        "error: none",
        "a\nb",
        " a",
        "[a\n b]",
        "{a: 1} # b",
        "- a",
        "'a'",
        "# a",
        "@a",
        "a: |\n  b",
    ):
        refused = await cli("config", "set", key, "/x", value)
        assert (refused.code, refused.err.splitlines()[-1]) == (7, "hint: --string takes VALUE as text."), value
    await cli.ok("config", "set", key, "/x", "p@ss #1\n", "--string")
    assert (await cli.ok("config", "get", key, "/x", "-o", "json")).json == "p@ss #1\n"


@pytest.mark.parametrize("value", ["017", "yes", "2026-01-31", ".inf", "1_000", "{a: 1, a: 2}"])
async def test_set_refuses_a_value_that_yaml_readers_take_for_different_things(
    cli: Cli, application: str, value: str
) -> None:
    refused = await cli("config", "set", f"{application}/web", "/x", value)
    assert refused.code == 7
    assert "VALUE:1:" in refused.err
    assert "--string" in refused.err


async def test_set_never_loses_what_somebody_else_writes_meanwhile(cli: Cli, application: str) -> None:
    key = await prepared(cli, application, "{}")
    await asyncio.gather(*(cli.ok("config", "set", key, f"/m{number}", str(number)) for number in range(4)))
    assert (await cli.ok("config", "get", key, "/")).json == {f"m{number}": number for number in range(4)}


async def test_apply_creates_and_replaces_the_content_and_keeps_schema_and_comments(cli: Cli, application: str) -> None:
    await cli.ok("app", "apply", application)
    await cli.ok("schema", "apply", application, "-f", "-", stdin='{"type": "object", "properties": {"n": {}}}')
    key = f"{application}/web"
    file = cli.write("web.yaml", "n: 1  # a comment\n")
    first = await cli.ok("config", "apply", key, "-f", file, "--schema", application, "--comments", "the web")
    assert first.err.startswith(f"created {key}, version 1")
    cli.write("web.yaml", "n: 2\n")
    assert (await cli.ok("config", "apply", key, "-f", file)).err.startswith(f"changed {key}, version 2")
    assert (await cli.ok("config", "apply", key, "-f", file)).err == "nothing to change\n"
    found = (await cli.ok("config", "get", key, "-o", "json")).json
    assert (found["config"], found["comments"]) == ({"n": 2}, "the web")
    assert found["schema"] == {"schema": application, "version": 1}
    overtaken = await cli("config", "apply", key, "-f", file, "--expected-version", "1")
    assert overtaken.code == 5


async def test_a_dry_run_changes_nothing(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    would = await cli.ok("config", "set", key, "/replicas", "4", "--dry-run", "-o", "json")
    assert would.err == f"would change {key} (version 2) (dry run)\n"
    assert would.json["config"]["replicas"] == 4
    for arguments in (("delete", key), ("copy", key, f"{application}/other")):
        assert (await cli.ok("config", *arguments, "--dry-run")).err.endswith("(dry run)\n")
    assert (await cli.ok("config", "list", application, "-o", "name")).out == f"{key}\n"
    assert (await cli.ok("config", "get", key, "/replicas")).out == "3\n"


async def test_a_deleted_configuration_is_listed_and_comes_back(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    await cli.ok("config", "delete", key, "--reason", "old")
    assert (await cli("config", "get", key)).code == 3
    assert (await cli("config", "delete", key)).code == 3
    assert (await cli.ok("config", "delete", key, "--ignore-missing")).err == "nothing to change\n"
    assert key in (await cli.ok("config", "list", application, "--deleted")).out
    await cli.ok("config", "undelete", key)
    assert (await cli.ok("config", "get", key, "/replicas")).out == "3\n"


async def test_rollback_copy_and_rename(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    await cli.ok("config", "set", key, "/replicas", "9")
    await cli.ok("config", "rollback", key, "1")
    assert (await cli.ok("config", "get", key, "/replicas")).out == "3\n"
    assert (await cli.ok("config", "get", key, "/replicas", "--version", "2")).out == "9\n"
    copied = f"{application}/eu/web"
    await cli.ok("config", "copy", key, copied)
    assert (await cli("config", "copy", key, copied)).code == 5
    await cli.ok("config", "set", key, "/replicas", "4")
    await cli.ok("config", "copy", key, copied, "--replace")
    assert (await cli.ok("config", "get", copied, "/replicas")).out == "4\n"
    await cli.ok("config", "update", copied, "--name", "us/web")
    assert (await cli("config", "get", copied)).code == 3


async def test_the_past_is_read_by_version_revision_and_time(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    before = (await cli.ok("config", "get", key, "-o", "json")).json
    await cli.ok("config", "set", key, "/replicas", "9")
    assert (await cli.ok("config", "get", key, "/replicas", "--at", str(before["revision"]))).out == "3\n"
    assert (await cli.ok("config", "get", key, "/replicas", "--at", before["update_time"])).out == "3\n"
    assert (await cli("config", "get", key, "--at", "9999999")).code == 3
    assert (await cli("config", "get", key, "--at", "soon")).code == 2


async def test_all_faults_of_a_content_are_listed_by_their_json_pointers(cli: Cli, application: str) -> None:
    document = '{"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}, "s": {"type": "string"}}}'
    await cli.ok("schema", "create", application, "-f", "-", stdin=document)
    await cli.ok("app", "create", application)
    refused = await cli(
        *("config", "create", f"{application}/web", "-f", "-", "--schema", application),
        stdin='{"n": 9, "s": 1, "x": 2}',
    )
    assert refused.code == 7
    first, *details = refused.err.splitlines()
    assert first == "error: the content violates its schema (SCHEMA_VIOLATED)"
    assert any(line.startswith("  /n: ") for line in details)
    assert any(line.startswith("  /s: ") for line in details)
    assert details[-1].startswith("hint: ")


async def test_a_missing_configuration_is_named_as_the_command_line_writes_it(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    missing = await cli("config", "get", f"{application}/web")
    assert missing.code == 3
    assert f"configuration {application}/web does not exist" in missing.err
    assert "`config list --deleted`" in missing.err
    assert "`configsvc schema history NAME`" in (await cli("schema", "get", "none@2")).err
    faulty = await cli("config", "apply", f"{application}/web", "-f", "-", stdin='{"a": 1e400}')
    assert faulty.err.splitlines()[1].startswith("  /a: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "get", "shop"),
        ("config", "get", "/web"),
        ("config", "set", "shop/web", "replicas", "3"),
        ("config", "get", "shop/web", "--version", "1", "--at", "1"),
        ("config", "update", "shop/web"),
        ("config", "set", "shop/web", "/x", "--resaon"),
        ("config", "create", "shop/web"),
        ("config", "create", "shop/web", "-f", "missing.json"),
        ("config", "list", "--timeout", "soon"),
        ("config", "frobnicate"),
        ("access", "create", "user:ann", "viewer"),
        ("--server", "x"),
    ],
)
async def test_a_fault_of_the_command_line_exits_with_2_and_says_so(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = await cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err


async def test_reason_and_change_request_stand_in_the_history(
    cli: Cli, application: str, shared_service: Service
) -> None:
    key = await prepared(cli, application)
    await cli.ok("config", "set", key, "/replicas", "4", "--reason", "more load", "--change-request", "OPS-7")
    newest, oldest = (await cli.ok("config", "history", key, "-o", "json")).json
    assert (newest["origin"]["reason"], newest["origin"]["change_request"]) == ("more load", "OPS-7")
    assert (oldest["origin"]["reason"], oldest["type"]) == ("first", "CHANGE_TYPE_CREATED")
    assert newest["configuration"]["config"]["replicas"] == 4
    table = (await cli.ok("config", "history", key)).out.splitlines()
    assert table[0].split()[:3] == ["VERSION", "CHANGE", "TIME"]
    assert table[1].endswith("OPS-7            more load")
