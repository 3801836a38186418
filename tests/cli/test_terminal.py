"""The command line on a terminal: colours, questions, the editor, progress."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from tests.cli.running import Cli
from tests.cli.test_configurations import prepared
from tests.cli.test_exec import WITH_TERMINAL
from tests.process.running import LIMIT_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLOUR = "\033["


async def test_colours_are_for_terminals_alone_and_never_with_no_color(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    assert COLOUR not in (await cli.ok("config", "get", key, "-o", "json")).out
    async with cli.terminal("config", "get", key, "-o", "json") as terminal:
        assert await terminal.end() == 0
        assert COLOUR in terminal.text
    async with cli.terminal("config", "get", key, "-o", "json", NO_COLOR="1") as terminal:
        assert await terminal.end() == 0
        assert COLOUR not in terminal.text


async def test_what_others_wrote_cannot_command_a_terminal(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    await cli.ok("app", "update", application, "--comments", "red \u202e x")
    table = (await cli.ok("app", "list")).out
    assert "\u202e" not in table
    assert "\\u202e" in table
    key = f"{application}/web"
    await cli.ok("config", "create", key, "-f", "-", stdin=r'{"x": "\u001b[31m"}')
    assert (await cli.ok("config", "get", key, "/x")).out == "\033[31m\n"
    async with cli.terminal("config", "get", key, "/x") as terminal:
        assert await terminal.end() == 0
        assert terminal.text == "\\x1b[31m\r\n"


async def test_a_deletion_that_cannot_be_undone_asks_and_no_input_refuses(cli: Cli, application: str) -> None:
    await cli.ok("app", "create", application)
    refused = await cli("app", "delete", application)
    assert refused.code == 2
    assert "--yes" in refused.err
    async with cli.terminal("app", "delete", application, "--no-input") as terminal:
        assert await terminal.end() == 2
    async with cli.terminal("app", "delete", application) as terminal:
        await terminal.wait_for("[y/N]")
        terminal.type("n")
        assert await terminal.end() == 2
    await cli.ok("app", "get", application)
    async with cli.terminal("app", "delete", application) as terminal:
        await terminal.wait_for("[y/N]")
        terminal.type("y")
        assert await terminal.end() == 0
    assert (await cli("app", "get", application)).code == 3


def editor(cli: Cli, *steps: str) -> str:
    """Return an editor that applies one sed script each time it is started."""
    for number, step in enumerate(steps):
        cli.write(f"step{number}.sed", step)
    cli.write(
        "editor.sh",
        'number=$(cat count 2>/dev/null || echo 0); echo $((number + 1)) >count\ncp "$1" "seen$number"\n'
        '[ -f "before$number.sh" ] && sh "before$number.sh"\nsed -i -f "step$number.sed" "$1"\n',
    )
    return f"sh {cli.folder}/editor.sh"


async def test_edit_checks_shows_the_difference_asks_and_writes(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    command = editor(cli, "s/replicas: 3/replicas: 5/")
    async with cli.terminal("config", "edit", key, "--reason", "by hand", EDITOR=command) as terminal:
        await terminal.wait_for("~ /replicas: 3 → 5")
        await terminal.wait_for("[n]o:")
        terminal.type("y")
        assert await terminal.end() == 0
    assert (await cli.ok("config", "get", key, "/replicas")).out == "5\n"
    assert (await cli.ok("config", "history", key, "-o", "json")).json[0]["origin"]["reason"] == "by hand"
    assert "tls:\n  port: 8443" in (cli.folder / "seen0").read_text()


async def test_a_refused_text_comes_back_with_its_faults_as_comments(cli: Cli, application: str) -> None:
    document = '{"type": "object", "properties": {"replicas": {"type": "integer", "maximum": 9}, "name": {}}}'
    await cli.ok("schema", "create", application, "-f", "-", stdin=document)
    key = await prepared(cli, application, '{"replicas": 3}')
    await cli.ok("config", "update", key, "--schema", application)
    command = editor(cli, "s/: 3/: 017/", "s/017/100/", "s/100/9/", "s/: 9/: 8/")
    async with cli.terminal("config", "edit", key, EDITOR=command) as terminal:
        await terminal.wait_for("[n]o:")
        terminal.type("e")
        await terminal.wait_for("[n]o:")
        terminal.type("y")
        assert await terminal.end() == 0
    assert re.search(r"^#! Refused: .*:2:11: 017 is ambiguous", (cli.folder / "seen1").read_text(), re.MULTILINE)
    second = (cli.folder / "seen2").read_text()
    assert "#! Refused: the content violates its schema" in second
    assert "#!   /replicas: " in second
    assert "\nreplicas: 100\n" in second
    assert second.count("Refused") == 1
    assert (await cli.ok("config", "get", key, "/replicas")).out == "8\n"


async def test_a_text_is_never_lost(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    answers = {"n": ("s/replicas: 3/replicas: 5/",), "give up": ("s/replicas: 3/replicas: 017/", "")}
    for case, steps in answers.items():
        (cli.folder / "count").unlink(missing_ok=True)
        async with cli.terminal("config", "edit", key, EDITOR=editor(cli, *steps)) as terminal:
            if case == "n":
                await terminal.wait_for("[n]o:")
                terminal.type("n")
            await terminal.wait_for("your text is kept in ")
            code = await terminal.end()
            assert code == {"n": 1, "give up": 7}[case]
            kept = Path(terminal.text.split()[0])
        assert "replicas: 5" in kept.read_text() or "replicas: 017" in kept.read_text()
        kept.unlink()
    broken = await cli("config", "edit", key, "--yes", EDITOR="false")
    assert broken.code == 1
    kept = Path(broken.err.split("your text is kept in ")[1].split()[0])
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.unlink()
    assert (await cli.ok("config", "get", key, "/replicas")).out == "3\n"


async def test_a_text_is_kept_if_the_terminal_hangs_up_while_the_editor_is_open(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    cli.write("open.sh", 'sed -i "s/replicas: 3/replicas: 5/" "$1"; echo saved; exec sleep 600\n')
    variables = {"EDITOR": f"sh {cli.folder}/open.sh", "TMPDIR": str(cli.folder)}
    async with cli.terminal("config", "edit", key, command=WITH_TERMINAL, **variables) as terminal:
        await terminal.wait_for("saved")
        terminal.hang_up()
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await terminal.process.wait() == -signal.SIGHUP
    (kept,) = cli.folder.glob("configsvc-web-*.yaml")
    assert "\nreplicas: 5\n" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (await cli.ok("config", "get", key, "/replicas")).out == "3\n"


async def test_an_editor_that_removes_the_file_or_saves_no_utf_8_is_reported(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    cli.write("latin.sh", "printf 'a: \\351\\n' >\"$1\"\n")
    latin = await cli("config", "edit", key, "--yes", EDITOR=f"sh {cli.folder}/latin.sh")
    assert latin.code == 7
    assert "is not UTF-8: byte 4 cannot be read" in latin.err
    Path(latin.err.split("your text is kept in ")[1].split()[0]).unlink()
    removed = await cli("config", "edit", key, "--yes", EDITOR="rm")
    assert "cannot read " in removed.err
    assert "your text is kept" not in removed.err


async def test_edit_takes_escapes_of_json(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    command = editor(cli, r's/"replicas": 3/"replicas": "\\ud83d\\ude00"/')
    await cli.ok("config", "edit", key, "-o", "json", "--yes", EDITOR=command)
    assert (await cli.ok("config", "get", key, "/replicas")).out == "😀\n"


async def test_edit_on_top_of_somebody_elses_change_shows_it_first(cli: Cli, application: str) -> None:
    from tests.process.running import CONFIGSVC  # noqa: PLC0415

    key = await prepared(cli, application)
    command = editor(cli, "s/replicas: 3/replicas: 5/", "s/port: 8443/port: 443/")
    cli.write("before0.sh", f"{CONFIGSVC[0]} config set {key} /tls/port 443 2>/dev/null\n")
    async with cli.terminal("config", "edit", key, EDITOR=command) as terminal:
        await terminal.wait_for("~ /replicas: 3 → 5")
        await terminal.wait_for("[n]o:")
        terminal.type("y")
        assert await terminal.end() == 0
    seen = (cli.folder / "seen1").read_text()
    assert "#! anonymous wrote version 2 meanwhile. What it changed:" in seen
    assert "~ /tls/port: 8443 → 443" in seen
    found = (await cli.ok("config", "get", key, "/")).json
    assert (found["replicas"], found["tls"]["port"]) == (5, 443)


async def test_edit_works_without_a_terminal_with_yes(cli: Cli, application: str) -> None:
    key = await prepared(cli, application)
    assert (await cli("config", "edit", key, EDITOR="true")).code == 2
    same = await cli.ok("config", "edit", key, "--yes", EDITOR="true")
    assert same.err == "no changes; nothing was written\n"
    done = await cli.ok("config", "edit", key, "--yes", "-o", "json", EDITOR="sed -i 's/: 3/: 4/'")
    assert (done.out, done.err.splitlines()[0]) == ("", "~ /replicas: 3 → 4")


async def test_imports_exports_and_sync_show_progress_on_a_terminal_alone(cli: Cli, application: str) -> None:
    cli.write("items.json", f'[{{"application": "{application}", "name": "web", "config": {{}}}}]')
    command = ("config", "import", "-f", "items.json", "--create-applications", "--replace", "--wait")
    folder = cli.folder / f"tree/applications/{application}-synced"
    folder.mkdir(parents=True)
    (folder / "web.json").write_text("{}")
    others = (
        ("config", "export", application, "-f", "exported.json"),
        ("config", "export", application, "--tree", "exported"),
        ("sync", "apply", "tree", "--yes", "--repository", application),
    )
    for one in (command, *others):
        async with cli.terminal(*one) as terminal:
            assert await terminal.end() == 0, terminal.text
            assert "━" in terminal.text, one
    assert "━" not in (await cli.ok(*command)).err
