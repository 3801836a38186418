"""Writing files of a tree: what does not differ stays as it was written."""

from pathlib import Path

from configsvc.cli.differences import same_value
from configsvc.cli.documents import Json, is_object, parse_document, pretty_json, yaml_text
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.files import replaced
from configsvc.cli.sync.files import read_text
from configsvc.cli.sync.pins import MEMBER, is_relative
from configsvc.cli.sync.splicing import RewriteError, comments_of, spliced


def update_file(path: Path, new_config: Json) -> bool:
    """Write a content into a file that is there: members that do not differ stay as they are, with their comments, and
    so does a `$schema` line. Return true if the file changed. Raises CliError; the file is whole then, too.
    """
    text = read_text(path, str(path))
    return replace_text(path, updated_text(text, new_config, path.name))


def updated_text(text: str, new_config: Json, source: str) -> str:
    """Return the text of a file with another content, and its `$schema` line. Raises CliError."""
    return changed_text(text, _with_pin(parse_document(text, source), new_config), source)


def changed_text(text: str, new: Json, source: str) -> str:
    """Return the text of a document with another value. Raises CliError."""
    old = parse_document(text, source)
    if same_value(old, new):
        return text
    for changed in (_spliced, _rewritten):
        found = changed(text, old, new, source)
        if found is not None and _says(found, new, source):
            return found
    raise CliError(f"{source}: YAML cannot hold this content: write it as JSON", ExitCode.INVALID)


def _with_pin(old: Json, new: Json) -> Json:
    """Return the content with the `$schema` line that the file has as a member."""
    if is_object(old) and is_object(new) and is_relative(old.get(MEMBER)) and MEMBER not in new:
        return {MEMBER: old[MEMBER], **new}
    return new


def _spliced(text: str, old: Json, new: Json, source: str) -> str | None:
    try:
        return spliced(text, old, new, is_json=_is_json(source))
    except RewriteError:
        return None


def _rewritten(text: str, _old: Json, new: Json, source: str) -> str:
    if _is_json(source):
        return pretty_json(new) + "\n"
    return "".join(line + "\n" for line in comments_of(text)) + yaml_text(new)


def _says(text: str, new: Json, source: str) -> bool:
    try:
        return same_value(parse_document(text, source), new)
    except CliError:
        return False


def _is_json(source: str) -> bool:
    return source.endswith(".json")


def new_text(config: Json, source: str) -> str | None:
    """Return the text of a new file; None if YAML cannot hold the content, as with very long keys."""
    if _is_json(source):
        return pretty_json(config) + "\n"
    text = yaml_text(config)
    return text if _says(text, config, source) else None


def replace_text(path: Path, text: str) -> bool:
    """Write a file at once, if its text is another one; a link stays, and so does its mode. Raises CliError."""
    data = text.encode()
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as file:
            file.write(data)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from None
    return True
