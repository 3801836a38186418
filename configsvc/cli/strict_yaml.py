"""YAML without surprises: what readers of different versions would take for different values is refused, with line and
column, and so are anchors, tags and repeated keys.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from ruamel.yaml import YAML as _YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, ScalarEvent
from ruamel.yaml.reader import ReaderError

from configsvc.cli.failures import CliError, ExitCode

# Its types are incomplete.
YAML: Any = _YAML
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_EXACT = {"true": True, "false": False, "null": None, "": None, "~": None}
_GUESSED = (
    (re.compile(r"true|false|null", re.IGNORECASE), "write {lower} in small letters"),
    (re.compile(r"yes|no|on|off", re.IGNORECASE), "write true or false"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "JSON has no dates"),
    (re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE), "JSON has no infinities"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "it could be a number of base 60"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"), "write the number in decimal"),
    (
        re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?"),
        "JSON writes numbers like 17, -0.5 and 1e6",
    ),
    (re.compile(r"<<|="), "YAML's merge keys are not JSON"),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Without any of these, a text has no anchors, aliases, tags and further documents, and is read once.
_SUSPECT = re.compile(r"[&*!]|^(?:---|\.\.\.)", re.MULTILINE)
_DEEPEST = 200
_MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class _Faults:
    """The faults of a text, so that all of them are shown at once."""

    source: str
    found: list[str] = field(default_factory=list[str])

    def add(self, mark: Any, problem: str) -> Any:
        """Add a fault; return a value for its place."""
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        if len(self.found) < _MOST_FAULTS:
            self.found.append(f"{self.source}{place}: {problem}")

    def check(self) -> None:
        """Raise CliError with all faults: the first as its text, the others as details."""
        if self.found:
            raise CliError(self.found[0], ExitCode.INVALID, self.found[1:])


def parse_yaml(text: str, source: str) -> Any:
    """Return the value of the only document. Raises CliError with every fault."""
    return _checked(_root(text, source), source)


def compose_yaml(text: str) -> Any:
    """Return the nodes of a text that parse_yaml takes, with their places."""
    return YAML(typ="safe", pure=True).compose(text)


def _checked(root: Any, source: str) -> Any:
    faults = _Faults(source)
    value = _value(root, faults, 0)
    faults.check()
    return value


def parse_yaml_line(text: str, source: str) -> Any:
    """Return the value that a line is as a whole: a plain scalar, or a collection in brackets. Raises CliError."""
    root = _root(text, source)
    if root.id == "scalar":
        whole = root.style is None and root.value == text
    else:
        whole = bool(root.flow_style) and root.end_mark.index == len(text.rstrip()) and len(text.splitlines()) == 1
    if not whole:
        raise _fault(source, root.start_mark, "this is neither JSON nor one plain value of YAML")
    return _checked(root, source)


def _root(text: str, source: str) -> Any:
    try:
        if _SUSPECT.search(text):
            _check_events(text, source)
        node = compose_yaml(text)
    except MarkedYAMLError as error:
        fault: Any = error
        mark = fault.problem_mark or fault.context_mark
        raise _fault(source, mark, fault.problem or "this is not YAML") from None
    except ReaderError as error:
        position: int = cast("Any", error).position
        before = text[:position]
        place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        problem = f"{source}:{place}: the character U+{ord(text[position]):04X} must be escaped in quotes"
        raise CliError(problem, ExitCode.INVALID) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise CliError(f"{source}: this is not YAML: {str(error).splitlines()[0]}", ExitCode.INVALID) from None
    if node is None:
        raise CliError(f"{source} is empty", ExitCode.INVALID, hint="Write {} for an empty object.")
    return node


def _check_events(text: str, source: str) -> None:
    """Refuse what has no place in a tree of values, before anything is expanded."""
    faults = _Faults(source)
    documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        mark: Any = event.start_mark
        documents += isinstance(event, DocumentStartEvent)
        if documents > 1:
            faults.add(mark, "a second document begins here: write one in each file")
            break
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            faults.add(mark, "anchors and aliases are refused: write the value where it is used")
        tag = getattr(event, "tag", None)
        if tag and not (isinstance(event, ScalarEvent) and str(tag) == "!"):
            faults.add(mark, f"the tag {tag} is refused: JSON has no tags")
    faults.check()


def _value(node: Any, faults: _Faults, depth: int) -> Any:
    if depth > _DEEPEST:
        return faults.add(node.start_mark, "this is nested too deeply")
    match node.id:
        case "scalar":
            return _scalar(node, faults)
        case "sequence":
            return [_value(element, faults, depth + 1) for element in node.value]
        case _:
            return _members(node, faults, depth)


def _members(node: Any, faults: _Faults, depth: int) -> dict[str, Any]:
    members: dict[Any, Any] = {}
    for key, value in node.value:
        name = _key(key, faults)
        if name is not None and name in members:
            faults.add(key.start_mark, f'the key "{name}" stands twice in one object')
        members[name] = _value(value, faults, depth + 1)
    return members


def _key(node: Any, faults: _Faults) -> str | None:
    before = len(faults.found)
    name = _scalar(node, faults) if node.id == "scalar" else None
    if isinstance(name, str):
        return name
    if len(faults.found) == before:
        faults.add(node.start_mark, "a key must be a string: put it into quotes")
    return None


def _scalar(node: Any, faults: _Faults) -> Any:
    text = _without_surrogates(str(node.value), node, faults)
    if node.style is not None:
        return text
    if text in _EXACT:
        return _EXACT[text]
    if _WHOLE.fullmatch(text):
        return _whole(text, node, faults)
    if _FRACTION.fullmatch(text):
        return _fraction(text, node, faults)
    for pattern, advice in _GUESSED:
        if pattern.fullmatch(text):
            better = advice.format(lower=text.lower())
            return faults.add(node.start_mark, f'{text} is ambiguous: {better}; for text, quote it: "{text}"')
    return text


def _whole(text: str, node: Any, faults: _Faults) -> Any:
    try:
        return int(text)
    except ValueError:
        return faults.add(node.start_mark, "the number has too many digits")


def _fraction(text: str, node: Any, faults: _Faults) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return faults.add(node.start_mark, "the exponent of the number is too large")


def _without_surrogates(text: str, node: Any, faults: _Faults) -> str:
    """Return the text with each pair of surrogates, as JSON escapes a character, as that character."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text
    except UnicodeDecodeError:
        faults.add(node.start_mark, "half of a pair of surrogates is no character")
        return ""


def _fault(source: str, mark: Any, problem: str) -> CliError:
    place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    return CliError(f"{source}{place}: {problem}", ExitCode.INVALID)
