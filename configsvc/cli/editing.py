"""The command `config edit`: a configuration in the user's editor, until it is valid. No text is ever lost."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from configsvc.cli import options
from configsvc.cli.commands import command
from configsvc.cli.configurations import app, fetch, update
from configsvc.cli.differences import differences
from configsvc.cli.documents import Json, compact_json, parse_document, parse_json, pretty_json, read_text, yaml_text
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.output import Format, print_difference, say
from configsvc.cli.session import Session

# The edited text can be corrected after these; others end the command.
_CORRECTABLE = (ExitCode.INVALID, ExitCode.CONFLICT)
_MARK = "#! "


@dataclass(slots=True)
class _Draft:
    """The text in the editor, and the version that it began with."""

    key: str
    path: Path
    original: Json
    version: int

    @property
    def text(self) -> str:
        return read_text(str(self.path))

    def show(self, text: str, remarks: list[str]) -> None:
        """Write a text with remarks above it, in place of earlier ones."""
        lines = [line for line in text.splitlines() if not line.startswith(_MARK)]
        remarks = [part for remark in remarks for part in remark.splitlines()]
        self.path.write_text("\n".join([*(_MARK + remark for remark in remarks), *lines]) + "\n", encoding="utf-8")


@command(app, "edit", prints=True, changes=True)
def edit(session: Session, key: options.Key, yes: options.Yes = False) -> None:
    """Edit the content of a configuration in $EDITOR.

    $VISUAL goes before $EDITOR. The text is YAML, or JSON with -o json. It is checked, and the difference is shown,
    before it is written. A text that is refused comes back with its faults as comments. Whatever happens, it is kept in
    a file until it is written.
    """
    if not (yes or session.can_ask):
        raise UsageError("nobody can confirm the change", hint="--yes writes it without asking.")
    found = fetch(session, key)
    content = parse_json(found.config_json)
    suffix = ".json" if session.output is Format.JSON else ".yaml"
    descriptor, name = tempfile.mkstemp(prefix=f"configsvc-{found.name.replace('/', '-')}-", suffix=suffix)
    os.close(descriptor)
    draft = _Draft(key, Path(name), content, found.version)
    text = pretty_json(content) + "\n" if session.output is Format.JSON else yaml_text(content)
    # It was the format of the text.
    session.output = None
    draft.show(text, [f"{key}, version {found.version}. These lines are left out. Save and close to write it."])
    try:
        _edit_until_written(session, draft, yes=yes)
    except BaseException:
        if draft.path.exists():
            say(f"your text is kept in {draft.path}")
        raise
    draft.path.unlink(missing_ok=True)


def _edit_until_written(session: Session, draft: _Draft, *, yes: bool) -> None:
    while True:
        before = draft.text
        _open_editor(draft.path)
        text = draft.text
        refused_again = text == before and not before.startswith(f"{_MARK}{draft.key}")
        if refused_again:
            raise CliError("the text was not corrected; nothing was written", ExitCode.INVALID)
        try:
            if _write(session, draft, text, yes=yes):
                return
        except CliError as error:
            if error.code not in _CORRECTABLE or not session.can_ask:
                raise
            draft.show(text, _remarks(session, draft, error))


def _leave_to_the_editor(_number: int, _frame: object) -> None:
    pass


def _open_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    # Ctrl-C is for the editor, as in Git. A handler, unlike SIG_IGN, does not reach it.
    before = signal.signal(signal.SIGINT, _leave_to_the_editor)
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise CliError(f"cannot start the editor {editor}: {error}", hint="Set EDITOR to a program.") from None
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode:
        raise CliError(f"the editor ended with code {done.returncode}; nothing was written")


def _write(session: Session, draft: _Draft, text: str, *, yes: bool) -> bool:
    """Write the text; return false to go back to the editor. Raises CliError."""
    # A blank line for each remark, so that faults have their lines.
    lines = ("" if line.startswith(_MARK) else line for line in text.split("\n"))
    content = parse_document("\n".join(lines), draft.path.name)
    found = list(differences(draft.original, content))
    if not found:
        say("no changes; nothing was written")
        return True
    session.connection.extend()
    _check(session, draft, content)
    print_difference((difference.line for difference in found), sys.stderr)
    if not yes:
        answer = session.ask(f"Write this to {draft.key}? [y]es, [e]dit again, [n]o: ").lower()
        if answer in {"e", "edit"}:
            return False
        if answer not in {"y", "yes"}:
            raise CliError("nothing was written")
        session.connection.extend()
    values = {"config_json": compact_json(content)}
    update(session, draft.key, values, ["config"], expected_version=draft.version)
    return True


def _check(session: Session, draft: _Draft, content: Json) -> None:
    """Let the service find every fault before anybody is asked. Raises CliError."""
    from configsvc.cli import pb  # noqa: PLC0415
    from configsvc.cli.keys import key_of  # noqa: PLC0415

    request = pb.UpdateConfigurationRequest(
        key=key_of(draft.key),
        configuration=pb.Configuration(config_json=compact_json(content)),
        update_mask=pb.FieldMask(paths=["config"]),
        expected_version=draft.version,
        validate_only=True,
    )
    session.connection.call(session.connection.configurations.UpdateConfiguration, request)


def _remarks(session: Session, draft: _Draft, error: CliError) -> list[str]:
    """Return what the user has to know to correct the text, and take up a version that somebody else wrote."""
    remarks = [f"Refused: {error.text}", *(f"  {detail}" for detail in error.details)]
    if error.reason == "VERSION_MISMATCH":
        newest = fetch(session, draft.key)
        changed = differences(draft.original, parse_json(newest.config_json))
        remarks = [
            f"{newest.updated_by} wrote version {newest.version} meanwhile. What it changed:",
            *(f"  {difference.line}" for difference in changed),
            "Take over what you want to keep, change this text, and save it: it is then written on top.",
        ]
        draft.original, draft.version = parse_json(newest.config_json), newest.version
    say(remarks[0])
    return [*remarks, "Correct it and save. Close without a change to give up: the text is kept."]
