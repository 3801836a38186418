"""YAML without surprises: what readers of different versions would take for different values is refused, with line and
column, and so are anchors, tags and repeated keys.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from ruamel.yaml import YAML as _YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, ScalarEvent

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
_DEEPEST = 200


def parse_yaml(text: str, source: str) -> Any:
    """Return the value of the only document. Raises CliError."""
    return _value(_root(text, source), source, 0)


def parse_yaml_line(text: str, source: str) -> Any:
    """Return the value that a line is as a whole: a plain scalar, or a collection in brackets. Raises CliError."""
    root = _root(text, source)
    if root.id == "scalar":
        whole = root.style is None and root.value == text
    else:
        whole = bool(root.flow_style) and root.end_mark.index == len(text.rstrip()) and len(text.splitlines()) == 1
    if not whole:
        raise _fault(source, root.start_mark, "this is neither JSON nor one plain value of YAML")
    return _value(root, source, 0)


def _root(text: str, source: str) -> Any:
    try:
        _check_events(text, source)
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        fault: Any = error
        mark = fault.problem_mark or fault.context_mark
        raise _fault(source, mark, fault.problem or "this is not YAML") from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise CliError(f"{source}: this is not YAML: {str(error).splitlines()[0]}", ExitCode.INVALID) from None
    if node is None:
        raise CliError(f"{source} is empty", ExitCode.INVALID, hint="Write {} for an empty object.")
    return node


def _check_events(text: str, source: str) -> None:
    """Refuse what has no place in a tree of values, before anything is expanded."""
    documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        mark: Any = event.start_mark
        documents += isinstance(event, DocumentStartEvent)
        if documents > 1:
            raise _fault(source, mark, "a second document begins here: write one in each file")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _fault(source, mark, "anchors and aliases are refused: write the value where it is used")
        tag = getattr(event, "tag", None)
        if tag and not (isinstance(event, ScalarEvent) and str(tag) == "!"):
            raise _fault(source, mark, f"the tag {tag} is refused: JSON has no tags")


def _value(node: Any, source: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _fault(source, node.start_mark, "this is nested too deeply")
    match node.id:
        case "scalar":
            return _scalar(node, source)
        case "sequence":
            return [_value(element, source, depth + 1) for element in node.value]
        case _:
            return _members(node, source, depth)


def _members(node: Any, source: str, depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in node.value:
        name = _value(key, source, depth + 1)
        if not isinstance(name, str):
            raise _fault(source, key.start_mark, "a key must be a string: put it into quotes")
        if name in members:
            raise _fault(source, key.start_mark, f'the key "{name}" stands twice in one object')
        members[name] = _value(value, source, depth + 1)
    return members


def _scalar(node: Any, source: str) -> Any:
    text = _without_surrogates(str(node.value), node, source)
    if node.style is not None:
        return text
    if text in _EXACT:
        return _EXACT[text]
    if _WHOLE.fullmatch(text):
        return _whole(text, node, source)
    if _FRACTION.fullmatch(text):
        return _fraction(text, node, source)
    for pattern, advice in _GUESSED:
        if pattern.fullmatch(text):
            better = advice.format(lower=text.lower())
            raise _fault(source, node.start_mark, f'{text} is ambiguous: {better}; for text, quote it: "{text}"')
    return text


def _whole(text: str, node: Any, source: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _fault(source, node.start_mark, "the number has too many digits") from None


def _fraction(text: str, node: Any, source: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _fault(source, node.start_mark, "the exponent of the number is too large") from None


def _without_surrogates(text: str, node: Any, source: str) -> str:
    """Return the text with each pair of surrogates, as JSON escapes a character, as that character."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text
    except UnicodeDecodeError:
        raise _fault(source, node.start_mark, "half of a pair of surrogates is no character") from None


def _fault(source: str, mark: Any, problem: str) -> CliError:
    place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    return CliError(f"{source}{place}: {problem}", ExitCode.INVALID)
