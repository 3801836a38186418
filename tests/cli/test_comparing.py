"""history, diff and blame, as a process against a real service."""

import pytest

from tests.cli.running import Cli
from tests.cli.test_configurations import prepared

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_diff_shows_what_changed_and_its_exit_code_tells(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    await cli.ok("config", "set", key, "/replicas", "5")
    await cli.ok("config", "unset", key, "/tls")
    assert (await cli.ok("config", "diff", key)).out == '- /tls: {"port":8443}\n'
    both = await cli("config", "diff", key, "1", "3", "--detailed-exitcode")
    assert (both.code, sorted(both.out.splitlines())) == (2, ['- /tls: {"port":8443}', "~ /replicas: 3 → 5"])
    patch = (await cli.ok("config", "diff", key, "1", "2", "-o", "json")).json
    assert patch == [{"op": "replace", "path": "/replicas", "value": 5}]
    same = await cli.ok("config", "diff", key, "2", "2", "--detailed-exitcode")
    assert same.out == ""
    assert (await cli("config", "diff", key, "1", "9")).code == 3


async def test_diff_with_a_file_shows_what_apply_would_change(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    file = cli.write("web.yaml", 'replicas: 3\ntls:\n  port: 443\nhosts: [a]\nnew: "x"\n')
    different = await cli("config", "diff", key, "-f", file, "--detailed-exitcode")
    assert (different.code, different.out) == (2, '~ /tls/port: 8443 → 443\n- /hosts/1: "b"\n+ /new: "x"\n')
    await cli.ok("config", "apply", key, "-f", file)
    assert (await cli.ok("config", "diff", key, "-f", file, "--detailed-exitcode")).out == ""
    missing = await cli("config", "diff", f"{application}/other", "-f", file, "--detailed-exitcode")
    assert missing.code == 2
    assert "does not exist" in missing.err
    assert (await cli("config", "diff", key, "1", "-f", file)).code == 2


async def test_blame_names_for_each_value_who_last_set_it_when_and_why(cli: Cli, application: str) -> None:
    key = await prepared(cli, application, '{"a": 1, "b": {"c": [1, 2]}, "e": {}}')
    await cli.ok("config", "set", key, "/b/c/1", "3", "--reason", "second")
    await cli.ok("config", "set", key, "/a", "2", "--reason", "third")
    await cli.ok("config", "set", key, "/a", "1", "--reason", "back")
    found = (await cli.ok("config", "blame", key, "-o", "json")).json
    told = {one["path"]: (one["version"], one["origin"]["reason"], one["value"]) for one in found}
    assert told == {
        "/a": (4, "back", 1),
        "/b/c/0": (1, "first", 1),
        "/b/c/1": (2, "second", 3),
        "/e": (1, "first", {}),
    }
    assert all(one["origin"]["actor"] == "anonymous" and one["origin"]["commit_time"] for one in found)
    lines = (await cli.ok("config", "blame", key)).out.splitlines()
    assert lines[0].split() == ["PATH", "VERSION", "TIME", "BY", "REASON", "VALUE"]
    assert any(line.split()[:2] == ["/b/c/1", "2"] for line in lines)
    await cli.ok("config", "delete", key)
    deleted = await cli("config", "blame", key)
    assert deleted.code == 3
    assert "is deleted" in deleted.err
