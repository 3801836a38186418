"""The command `configsvc render`: files from templates, as configurations change."""

import difflib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NoReturn

import typer

from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.files import current_content, replace_file
from configsvc.cli.following import Events, Followed, Waiting, talk
from configsvc.cli.keys import key_of, key_text
from configsvc.cli.output import print_difference, say

if TYPE_CHECKING:
    from configsvc.cli.session import Session
    from configsvc.client.view import Configuration

RENDER_SECONDS = 30.0
DIFFERENT = 2
# To compare more would take long.
MAX_COMPARED_LINES = 20_000
MOST_QUIET_PERIODS = 10
# After a failure.
RETRY_SECONDS = 10.0
_STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The command to run after a change."""

    arguments: Sequence[str]
    text: str
    seconds: float
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Templates and the files that they make."""

    templates: Sequence[Path]
    outputs: Sequence[str]
    new_mode: int
    command: Command | None


def run(
    session: "Session",
    *,
    templates: Sequence[str],
    outputs: Sequence[str],
    configurations: Sequence[str],
    mode: str,
    check: bool,
    watch: bool,
    quiet_seconds: float,
    command: str | None,
    shell: bool,
    command_seconds: float,
) -> None:
    """Render. Raises CliError, and typer.Exit with 2 if a check finds differences."""
    # Before anything of this program is among the variables.
    run_after = read_command(command, dict(os.environ), command_seconds, shell=shell)
    _check_outputs(templates, outputs)
    _check_options(outputs, check=check, watch=watch, runs_command=command is not None)
    job = Job(
        templates=[Path(template).absolute() for template in templates],
        outputs=outputs,
        new_mode=_mode(mode),
        command=run_after,
    )
    keys = {key_text(key_of(key)) for key in (*configurations, *_keys_of(job.templates))}
    events: Events = SimpleQueue()
    followed = Followed(session, sorted(keys), events, command="render")
    _end_by_signals()
    try:
        followed.start()
        _wait(followed, events, for_missing=watch)
        if check:
            check_files(job, followed.configurations())
        elif watch:
            _watch(job, followed, events, quiet_seconds)
        else:
            render_files(job, followed.configurations())
    finally:
        followed.close()


def read_command(
    text: str | None, variables: Mapping[str, str], limit_seconds: float, *, shell: bool
) -> Command | None:
    """Return the command of --exec; None without one. Raises UsageError."""
    if text is None:
        if shell:
            raise UsageError("--shell needs --exec COMMAND")
        return None
    try:
        words = ["/bin/sh", "-c", text] if shell else shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--exec {text!r} cannot be split into words: {error}") from None
    if not words:
        raise UsageError("--exec needs a command")
    return Command(arguments=words, text=text, seconds=limit_seconds, variables=variables)


def _check_outputs(templates: Sequence[str], outputs: Sequence[str]) -> None:
    if len(templates) != len(outputs):
        raise UsageError(
            f"{len(templates)} templates need as many files: {len(outputs)} are given", "Write one -o FILE for each."
        )
    if missing := [template for template in templates if not Path(template).is_file()]:
        raise UsageError(f"there is no template {', '.join(missing)}")
    files = {output: os.path.realpath(output) for output in outputs if output != _STANDARD_OUTPUT}
    if len(set(files.values())) < len(outputs) - outputs.count(_STANDARD_OUTPUT):
        raise UsageError("two templates have the same file")
    sources = {os.path.realpath(template) for template in templates}
    if lost := [output for output, file in files.items() if file in sources]:
        raise UsageError(f"{', '.join(lost)} is a template, which would be lost")


def _check_options(outputs: Sequence[str], *, check: bool, watch: bool, runs_command: bool) -> None:
    if watch and check:
        raise UsageError("choose one of --watch and --check")
    if _STANDARD_OUTPUT in outputs and (watch or check or runs_command or len(outputs) > 1):
        raise UsageError("-o - prints one template, without --watch, --check and --exec")


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise UsageError(f"{text!r} is no mode: write it as for chmod, such as 640")
    return mode


def _keys_of(templates: Sequence[Path]) -> set[str]:
    try:
        from configsvc.cli.templates import TemplateFaultError, keys_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("jinja2"):
            raise
        raise CliError(
            "rendering needs Jinja2, which is not installed", hint="pip install 'configsvc[tools]'"
        ) from None
    try:
        return {key for template in templates for key in keys_of(template)}
    except TemplateFaultError as error:
        raise CliError(str(error), ExitCode.INVALID) from None


def _end_by_signals() -> None:
    """Let signals end this process in order, also as process 1, which they would not reach."""

    def end(number: int, _frame: object) -> NoReturn:
        raise typer.Exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _wait(followed: Followed, events: Events, *, for_missing: bool) -> None:
    waiting = Waiting(followed, for_missing=for_missing)
    while not waiting.is_over():
        with suppress(Empty):
            events.get(timeout=waiting.seconds())


def _watch(job: Job, followed: Followed, events: Events, quiet_seconds: float) -> NoReturn:
    """Render now, and after each change. Raises CliError if it fails now; later failures are said, and tried again."""
    found = followed.configurations()
    render_files(job, found)
    fault = ""
    while True:
        _wait_for_quiet(events, quiet_seconds, RETRY_SECONDS if fault else None)
        newest = followed.configurations()
        if newest == found and not fault:
            continue
        found, before, fault = newest, fault, ""
        try:
            render_files(job, found)
        except CliError as error:
            fault = "; ".join([str(error), *error.details])
            if fault != before:
                talk(f"the files stay as they are: {fault}")


def _wait_for_quiet(events: Events, quiet_seconds: float, limit_seconds: float | None) -> None:
    with suppress(Empty):
        events.get(timeout=limit_seconds)
        until = time.monotonic() + MOST_QUIET_PERIODS * quiet_seconds
        while time.monotonic() < until:
            events.get(timeout=quiet_seconds)


def render_files(job: Job, configurations: "Mapping[str, Configuration]") -> None:
    """Write the files whose content changes, and run the command if there is one. Raises CliError."""
    texts = render_texts(job.templates, configurations)
    if list(job.outputs) == [_STANDARD_OUTPUT]:
        # As in a file, whatever the locale is.
        sys.stdout.buffer.write(texts[0].encode())
        return
    files = [(Path(output), text.encode()) for output, text in zip(job.outputs, texts, strict=True)]
    changed = [(path, content) for path, content in files if current_content(path) != content]
    for path, content in changed:
        replace_file(path, content, new_mode=job.new_mode)
        say(f"wrote {path}")
    if changed and job.command:
        _run(job.command)


def render_texts(templates: Sequence[Path], configurations: "Mapping[str, Configuration]") -> list[str]:
    """Return the texts of templates. Another process renders them, which can be killed. Raises CliError."""
    task = {
        "templates": [str(template) for template in templates],
        "contents": {key: found.text for key, found in configurations.items()},
        "versions": {key: found.version for key, found in configurations.items()},
    }
    # -P: no module of the working folder.
    words = (sys.executable, "-P", "-m", "configsvc.cli.templates")
    try:
        done = subprocess.run(
            words, input=json.dumps(task), capture_output=True, encoding="utf-8", timeout=RENDER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CliError(
            f"the templates take longer than {RENDER_SECONDS:g} s", ExitCode.INVALID, hint="Does a loop never end?"
        ) from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise CliError(f"rendering failed with code {done.returncode}: {last}", ExitCode.INVALID)
    outcome = json.loads(done.stdout)
    if "fault" in outcome:
        raise CliError(outcome["fault"], ExitCode.INVALID)
    return outcome["texts"]


def _run(command: Command) -> None:
    """Run a command after a change. Raises CliError."""
    try:
        # In a group of its own, so that all of it can be killed.
        process = subprocess.Popen(command.arguments, env=command.variables, stdin=subprocess.DEVNULL, process_group=0)
    except (OSError, ValueError) as error:
        raise _failed(command, str(error)) from None
    try:
        code = process.wait(command.seconds)
    except subprocess.TimeoutExpired:
        raise _failed(command, f"it took longer than {command.seconds:g} s, and was killed") from None
    finally:
        if process.returncode is None:
            _kill(process)
    if code:
        raise _failed(command, f"it ended with code {code if code > 0 else 128 - code}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failed(command: Command, why: str) -> CliError:
    return CliError(f"the files are written, but the command {command.text!r} failed: {why}")


def check_files(job: Job, configurations: "Mapping[str, Configuration]") -> None:
    """Print the differences to the files. Raises typer.Exit if there are any."""
    texts = render_texts(job.templates, configurations)
    differs = False
    for output, text in zip(job.outputs, texts, strict=True):
        content = current_content(Path(output))
        if content != text.encode():
            differs = True
            print_difference(_difference(output, content, text))
    if differs:
        raise typer.Exit(DIFFERENT)


def _difference(file: str, content: bytes | None, new: str) -> Iterator[str]:
    before, after = _lines((content or b"").decode(errors="backslashreplace")), _lines(new)
    if content is None and not new:
        yield f"~ {file}: there is no such file, and it would be empty"
    elif len(before) + len(after) > MAX_COMPARED_LINES:
        yield f"~ {file}: {len(before)} lines become {len(after)} others"
    else:
        yield from difflib.unified_diff(before, after, file, f"{file} (rendered)", lineterm="")


def _lines(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines
