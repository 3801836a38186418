"""`configsvc render`: files from templates, against a real service."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import typer

from configsvc.cli import rendering
from configsvc.cli.documents import parse_json
from configsvc.cli.failures import CliError
from configsvc.cli.files import replace_file
from configsvc.cli.rendering import Command, Job, check_files, read_command, render_files, render_texts
from configsvc.cli.templates import TemplateFaultError, keys_of, rendered
from configsvc.client import Configuration
from tests.cli.running import Cli, running_command
from tests.cli.test_exec import delete, put
from tests.client.clients import until
from tests.process.running import CONFIGSVC, Program
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_BYTES = 100_000


def template(folder: Path, text: str, name: str = "t.j2") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def text_of(folder: Path, text: str, content: str) -> str:
    """Return what a template makes of a configuration, which it calls `c`."""
    path = template(folder, '{% set c = configs["shop/web"] %}\n' + text)
    return rendered(path, {"shop/web": parse_json(content)}, {"shop/web": 7}, LIMIT_BYTES)


def fault_of(folder: Path, text: str, content: str = "{}", limit: int = LIMIT_BYTES) -> str:
    path = template(folder, text)
    with pytest.raises(TemplateFaultError) as raised:
        rendered(path, {"shop/web": parse_json(content)}, {"shop/web": 7}, limit)
    return str(raised.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("c.text", 'ä "b"'),
        ("c.whole", "123456789012345678901234567890"),
        ("c.share", "0.10"),
        ("c.on", "true"),
        ("c.none", "null"),
        ("c.hosts", '["a",{"b":0.10}]'),
        ("c.hosts[1].b + 1", "1.10"),
        ("c.hosts[1].b * 0.5", "0.050"),
        ("0.5 - c.hosts[1].b", "0.40"),
        ("(c.tls, 1)", '[{"min":"1.2"},1]'),
        ("c.hosts | tojson", '["a",{"b":0.10}]'),
        ("c.tls | tojson(indent=true)", '{\n  "min": "1.2"\n}'),
        ("c.tls | toyaml", 'min: "1.2"'),
        ("c.text | b64encode | b64decode", 'ä "b"'),
        ("c.whole | b64encode", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"),
        ("c.text | quote", "'ä \"b\"'"),
        ('c["items"]', "1"),
        ('versions["shop/web"]', "7"),
        ('c.missing | default("none")', "none"),
        ("c.missing is defined", "false"),
    ],
)
async def test_values_are_printed_exactly_and_what_is_no_text_as_json(
    tmp_path: Path, expression: str, printed: str
) -> None:
    content = (
        '{"text": "ä \\"b\\"", "whole": 123456789012345678901234567890, "share": 0.10, "on": true, "none": null, '
        '"hosts": ["a", {"b": 0.10}], "tls": {"min": "1.2"}, "items": 1}'
    )
    assert text_of(tmp_path, f"{{{{ {expression} }}}}\n", content) == printed + "\n"


async def test_lines_that_have_only_a_block_leave_no_line_behind(tmp_path: Path) -> None:
    text = "a\n  {% for host in c.hosts %}\n  - {{ host }}\n  {% endfor %}\nz"
    assert text_of(tmp_path, text, '{"hosts": [1, 2]}') == "a\n  - 1\n  - 2\nz"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('a\n{{ configs["shop/web"].tls.min }}\n', "t.j2:2: 'dict object' has no attribute 'tls'"),
        ('{{ configs["shop/" ~ "db"] }}', "t.j2:1: 'dict object' has no attribute 'shop/db'"),
        ("\n\n{{ nothing | tojson }}", "t.j2:3: 'nothing' is undefined"),
        ("{% if nothing %}{% endif %}", "t.j2:1: 'nothing' is undefined"),
        ("a\n{% for %}", "t.j2:2: Expected an expression, got 'end of statement block'"),
        ('{{ "".__class__.__mro__ }}', "t.j2:1: access to attribute '__class__' of 'str' object is unsafe."),
        ('{{ configs.update({"a": 1}) }}', "t.j2:1: "),
        ('{% include "../secret" %}', "t.j2:1: there is no template ../secret"),
        ("\n{{ 1 / 0 }}", "t.j2:2: division by zero"),
        ("\n{{ configs.items }}", 't.j2:2: items is a method: a member of this name is ["items"]'),
        ('{{ ["b"] | map("upper") }}', "t.j2:1: a generator is no value of JSON"),
        ('{{ ["b"] | map("upper") | tojson }}', "t.j2:1: a generator is no value of JSON"),
        ("{{ [range(3)] | toyaml }}", "t.j2:1: a range is no value of JSON"),
        ("{{ {1: 2} | tojson }}", "t.j2:1: 1 is no name of a member: names are texts"),
        ("{{ range(3) | b64encode }}", "t.j2:1: a range is no value of JSON"),
        ('{% for i in range(99999) %}{{ "x" * 100 }}{% endfor %}', "t.j2: the output has more than 0 MiB"),
    ],
)
async def test_a_fault_of_a_template_is_an_error_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert fault_of(tmp_path, text).startswith(fault)


async def test_keys_are_those_that_a_template_and_what_it_includes_name(tmp_path: Path) -> None:
    template(tmp_path, '{{ configs["shop/db"].url }}', "db.j2")
    path = template(tmp_path, '{% include "db.j2" %}{% if configs["shop/web"].on %}{{ configs[name] }}{% endif %}')
    assert keys_of(path) == {"shop/db", "shop/web"}


async def test_templates_that_take_too_much_memory_or_time_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CliError, match=r"t\.j2.*needs more than 1024 MiB of memory"):
        await asyncio.to_thread(render_texts, [template(tmp_path, '{{ "x" * 10**10 }}')], {})
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    monkeypatch.setattr(rendering, "RENDER_SECONDS", 1.0)
    with pytest.raises(CliError, match="take longer than 1 s"):
        await asyncio.to_thread(render_texts, [template(tmp_path, loop)], {})


def render(folder: Path, *outputs: str, content: str = '{"rate": 1}', command: Command | None = None) -> None:
    """Render one template into files, in this process."""
    path = template(folder, 'rate = {{ configs["shop/web"].rate }}\n')
    files = [output if output == "-" else str(folder / output) for output in outputs]
    job = Job(templates=[path] * len(files), outputs=files, new_mode=0o640, command=command)
    render_files(job, {"shop/web": Configuration(id="c", name="web", version=1, revision=1, text=content)})


async def test_a_file_is_written_only_if_it_changes_and_keeps_its_mode_owner_and_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, link, new = tmp_path / "real.conf", tmp_path / "link.conf", tmp_path / "new.conf"
    file.write_text("rate = 0\n")
    file.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(file, 1234, 1235)
    link.symlink_to(file)
    before = file.stat()
    render(tmp_path, "link.conf", "new.conf")
    assert capsys.readouterr().err == f"wrote {link}\nwrote {new}\n"
    after = file.stat()
    assert (file.read_text(), link.is_symlink()) == ("rate = 1\n", True)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert new.stat().st_mode & 0o7777 == 0o640
    render(tmp_path, "link.conf", command=command_of("touch ran"))
    untouched = file.stat()
    assert capsys.readouterr().err == ""
    assert (untouched.st_ino, untouched.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.conf", "new.conf", "real.conf", "t.j2"]


async def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(tmp_path: Path) -> None:
    file = tmp_path / "t.conf"
    render(tmp_path, "t.conf", content='{"rate": 1}')
    # More than one read of its reader, and of a length of its own.
    with file.open(encoding="utf-8") as reader:
        begun = reader.read(3)
        inode = file.stat().st_ino
        render(tmp_path, "t.conf", content=f'{{"rate": "{"x" * 100_000}"}}')
        assert begun + reader.read() == "rate = 1\n"
    assert file.stat().st_ino != inode
    assert file.read_text() == f"rate = {'x' * 100_000}\n"


async def test_what_is_printed_is_utf_8_in_any_locale(tmp_path: Path, capfdbinary: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="latin-1"))
        render(tmp_path, "-", content='{"rate": "€"}')
        sys.stdout.close()
    assert capfdbinary.readouterr().out == "rate = €\n".encode()


async def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CliError, match="it is no regular file"):
        render(tmp_path, "pipe")
    with pytest.raises(CliError, match="cannot write"):
        render(tmp_path, "no-folder/file")


async def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    render(tmp_path, 255 * "n")
    assert (tmp_path / (255 * "n")).read_text() == "rate = 1\n"


async def test_a_file_of_a_program_has_its_owner_and_is_written_over_no_pipe_or_device(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_text("old")
    file.chmod(0o666)
    os.chown(file, 1234, 1235)
    replace_file(file, b"new", is_private=True)
    found = file.stat()
    assert (found.st_uid, found.st_mode & 0o7777, file.read_text()) == (os.geteuid(), 0o600, "new")
    os.mkfifo(pipe)
    with pytest.raises(CliError, match="it is no regular file"):
        replace_file(pipe, b"new", is_private=True)
    assert pipe.is_fifo()


def command_of(text: str, limit_seconds: float = 30.0, *, shell: bool = False) -> Command:
    command = read_command(text, {**os.environ, "HOME": "/h"}, limit_seconds, shell=shell)
    assert command is not None
    return command


async def test_a_command_runs_after_a_change_without_a_shell_and_its_failure_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    render(tmp_path, "1.out", command=command_of("printf '%s|' 'a b' $HOME"))
    assert capfd.readouterr().out == "a b|$HOME|"
    render(tmp_path, "2.out", command=command_of("printf '%s|' $HOME", shell=True))
    assert capfd.readouterr().out == "/h|"
    with pytest.raises(CliError, match=r"failed: it ended with code 9"):
        render(tmp_path, "3.out", command=command_of("sh -c 'exit 9'"))
    with pytest.raises(CliError, match=r"it took longer than 0\.1 s, and was killed"):
        render(tmp_path, "4.out", command=command_of("sleep 1000", 0.1))
    with pytest.raises(CliError, match="no-such-program"):
        render(tmp_path, "5.out", command=command_of("no-such-program"))
    assert len(list(tmp_path.glob("*.out"))) == 5


async def test_nothing_is_written_from_missing_data_or_by_a_fault(
    cli: Cli, shared_service: Service, application: str
) -> None:
    await put(shared_service, f"{application}/web", '{"rate": 1}')
    cli.write("good.j2", f'{{{{ configs["{application}/web"].rate }}}}')
    cli.write("bad.j2", f'\n{{{{ configs["{application}/web"].rates }}}}')
    both = ("-o", "good.out", "-o", "other.out")
    undefined, missing, away, unread = await asyncio.gather(
        cli("render", "good.j2", "bad.j2", *both),
        cli("render", "good.j2", "good.j2", *both, "--config", f"{application}/db"),
        cli("render", "good.j2", "good.j2", *both, "--server", "127.0.0.1:1", "--timeout", "500ms"),
        cli("render", "good.j2", "no.j2", *both),
    )
    assert (undefined.code, missing.code, away.code, unread.code) == (7, 3, 6, 2)
    assert "bad.j2:2: 'dict object' has no attribute 'rates'" in undefined.err
    assert f"there is no configuration {application}/db" in missing.err
    assert list(cli.folder.glob("*.out")) == []


async def test_check_shows_the_differences_and_writes_nothing(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"rate": 1}')
    cli.write("t.j2", f'a\nrate = {{{{ configs["{key}"].rate }}}}\n')
    cli.write("t.conf", "a\nrate = 0\n")
    differs = await cli("render", "t.j2", "-o", "t.conf", "--check")
    assert differs.code == 2
    assert "-rate = 0\n+rate = 1\n" in differs.out
    assert (cli.folder / "t.conf").read_text() == "a\nrate = 0\n"


@pytest.mark.parametrize(
    ("old", "shown"),
    [
        (b"rate = 1", "-rate = 1\n\\ No newline at end of file\n+rate = 1\n"),
        (b"rate = 1\r\n", "-rate = 1\\r\n+rate = 1\n"),
        (b"rate = 1\x0c\n", "-rate = 1\\x0c\n+rate = 1\n"),
        (b"rate = \xff\n", "-rate = \\xff\n+rate = 1\n"),
        (None, "+rate = 1\n"),
    ],
)
async def test_each_difference_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: bytes | None, shown: str
) -> None:
    path = template(tmp_path, "rate = 1\n")
    if old is not None:
        (tmp_path / "out").write_bytes(old)
    job = Job(templates=[path], outputs=[str(tmp_path / "out")], new_mode=0o600, command=None)
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(check_files, job, {})
    assert capsys.readouterr().out.endswith(shown)


async def test_a_file_that_is_missing_and_would_be_empty_is_a_difference_that_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(templates=[template(tmp_path, "")], outputs=[f"{tmp_path}/out"], new_mode=0o600, command=None)
    with pytest.raises(typer.Exit):
        await asyncio.to_thread(check_files, job, {})
    assert capsys.readouterr().out == f"~ {tmp_path}/out: there is no such file, and it would be empty\n"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("t.j2", "-o", "./t.j2"), "./t.j2 is a template"),
        (("t.j2", "-o", "-", "--exec", "true"), "-o - prints one template, without --watch, --check and --exec"),
    ],
)
async def test_a_template_is_no_output_and_what_is_printed_changes_no_file(
    tmp_path: Path, words: tuple[str, ...], fault: str
) -> None:
    path = template(tmp_path, "a")
    done = await Cli(tmp_path)("render", *words)
    assert (done.code, path.read_text()) == (2, "a")
    assert fault in done.err


def watching(cli: Cli, *arguments: str) -> AbstractAsyncContextManager[Program]:
    """Run `configsvc render --watch`."""
    return running_command(cli, *CONFIGSVC, "render", "--watch", "--quiet-period", "100ms", *arguments)


async def test_watch_renders_again_after_changes_and_keeps_the_file_when_that_fails(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    cli.write("t.j2", f'{{{{ configs["{key}"].rate }}}}\n')
    command = "sh -c 'echo reload $(cat t.out); grep -qv 2 t.out'"
    async with watching(cli, "t.j2", "-o", "t.out", "--exec", command) as program:
        await program.wait_for_text(f"waiting up to 30 s for {key}")
        await put(shared_service, key, '{"rate": 1}')
        await program.wait_for_text("reload 1")
        await put(shared_service, key, '{"rate": 2}')
        await program.wait_for_text("reload 2")
        await program.wait_for_text("failed: it ended with code 1")
        await put(shared_service, key, '{"rates": 3}')
        await program.wait_for_text("t.j2:1: 'dict object' has no attribute 'rate'")
        assert (cli.folder / "t.out").read_text() == "2\n"
        await delete(shared_service, key)
        await program.wait_for_text("was deleted; version 3 stays in use")
        await put(shared_service, key, '{"rate": 4}')
        await program.wait_for_text("reload 4")
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143
    assert program.text.count("\nreload") == 3


async def test_watch_tries_again_after_a_failure_without_another_change(
    cli: Cli, shared_service: Service, application: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"rate": 1}')
    cli.write("t.j2", f'{{{{ configs["{key}"].rate }}}}\n')
    retries = "import sys; from configsvc.cli import main, rendering; rendering.RETRY_SECONDS = 0.1; main.main()"
    monkeypatch.setattr(sys.modules[__name__], "CONFIGSVC", (sys.executable, "-c", retries))
    async with watching(cli, "t.j2", "-o", "t.out") as program:
        await program.wait_for_text("wrote t.out")
        (cli.folder / "t.out").unlink()
        (cli.folder / "t.out").mkdir()
        await put(shared_service, key, '{"rate": 2}')
        await program.wait_for_text("it is no regular file")
        (cli.folder / "t.out").rmdir()
        await until((cli.folder / "t.out").is_file)
        assert (cli.folder / "t.out").read_text() == "2\n"
    assert program.text.count("it is no regular file") == 1


async def test_without_jinja2_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    template(tmp_path, "")
    program = (
        "import sys; sys.modules['jinja2'] = None; sys.argv = ['configsvc', 'render', 't.j2', '-o', 'x']\n"
        "from configsvc.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "pip install 'configsvc[tools]'" in done.stderr


async def test_the_template_of_the_guide_works_as_it_stands(
    cli: Cli, shared_service: Service, application: str
) -> None:
    guide = (Path(__file__).parents[2] / "docs/guide/command-line.md").read_text(encoding="utf-8")
    section = guide.split("## Render files\n")[1].split("\n## ")[0].replace("payments/", f"{application}/")
    blocks: dict[Any, str] = dict(re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    cli.write("limits.conf.j2", blocks["jinja"])
    await put(shared_service, f"{application}/limits", '{"rate": 250, "hosts": ["a b"], "tls": {"on": true}}')
    first, second, _ = blocks["sh"].splitlines()
    await cli.ok(*first.split()[1:])
    assert (cli.folder / "limits.conf").read_text() == "rate = 250\nhost = 'a b'\ntls = {\"on\":true}\n"
    await cli.ok(*second.split()[1:])
