"""The predicates of `json_path`: a subset of SQL/JSON path in lax mode. docs/reference/json-path.md has the grammar.

They are passed to PostgreSQL in a canonical form that all its versions understand alike: keys are quoted, so that none
is a keyword, numbers and strings are those of JSON, and parentheses show what belongs together.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from configsvc.domain.content import encode_json

MAX_NESTING = 32

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")
    |(?P<word>[^\W\d]\w*)
    |(?P<sign>==|!=|<>|<=|>=|&&|\|\||\*\*|[$@.()\[\]?,<>!*-])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"==", "!=", "<>", "<", "<=", ">", ">="}
_LITERALS = {"true", "false", "null"}
_METHODS = {"type", "size"}
_FLAGS = re.compile("[imqs]*")


class JsonPathError(ValueError):
    """A text that is not a predicate of the grammar; its message names the position of the fault."""


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def canonical_json_path(text: str) -> str:
    """Return the canonical form of a predicate. Raises JsonPathError."""
    parser = _Parser(_tokens(text))
    if parser.sees_word("strict"):
        raise parser.fault("strict mode is not supported: leave it out")
    if parser.sees_word("lax"):
        parser.take()
    predicate = parser.predicate()
    parser.expect("end", "", "&&, || or the end")
    return predicate


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        kind = match.lastgroup
        assert kind is not None
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens


def _unreadable(text: str, position: int) -> JsonPathError:
    while text[position] in " \t\r\n":
        position += 1
    if text[position] == '"':
        return _fault(position, "a string begins that does not end, or has a control character")
    return _fault(position, f"{encode_json(text[position])} has no meaning there")


def _fault(position: int, description: str) -> JsonPathError:
    return JsonPathError(f"at character {position + 1}: {description}")


@dataclass(slots=True)
class _Parser:
    """A recursive descent over the tokens. Each method takes what it is named after, and returns its canonical form."""

    tokens: list[_Token]
    place: int = 0
    nesting: int = 0
    filters: int = 0
    has_all_levels: bool = False

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def sees_word(self, text: str) -> bool:
        return self.next.kind == "word" and self.next.text == text

    def sees_sign(self, *signs: str) -> bool:
        return self.next.kind == "sign" and self.next.text in signs

    def take(self) -> _Token:
        token = self.next
        self.place += token.kind != "end"
        return token

    def expect(self, kind: str, text: str, wanted: str) -> _Token:
        if self.next.kind != kind or (text and self.next.text != text):
            raise self.expected(wanted)
        return self.take()

    def fault(self, description: str) -> JsonPathError:
        return _fault(self.next.position, description)

    def expected(self, wanted: str) -> JsonPathError:
        found = self.next.text or "the end"
        return self.fault(f"expected {wanted}, but found {found[:40]}")

    def predicate(self) -> str:
        return self._joined("||", lambda: self._joined("&&", self._term))

    def _joined(self, operator: str, operand: Callable[[], str]) -> str:
        operands = [operand()]
        while self.sees_sign(operator):
            self.take()
            operands.append(operand())
        return operands[0] if len(operands) == 1 else f" {operator} ".join(f"({one})" for one in operands)

    def _term(self) -> str:
        if self.sees_sign("!"):
            self.take()
            if not self.sees_sign("(") and not self.sees_word("exists"):
                raise self.expected("( or exists after !")
            return f"!{self._delimited()}"
        if self.sees_sign("("):
            inner = self._delimited()
            if not self.sees_word("is"):
                return inner
            self.take()
            self.expect("word", "unknown", "unknown")
            return f"{inner} is unknown"
        return self._delimited() if self.sees_word("exists") else self._comparison()

    def _delimited(self) -> str:
        if self.sees_word("exists"):
            self.take()
            self.expect("sign", "(", "( after exists")
            path = self._path()
            self.expect("sign", ")", "the ) of exists")
            return f"exists({path})"
        return f"({self._parenthesized()})"

    def _parenthesized(self) -> str:
        self.expect("sign", "(", "(")
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.fault(f"parentheses are nested too deep: at most {MAX_NESTING} levels are allowed")
        inner = self.predicate()
        self.nesting -= 1
        self.expect("sign", ")", "&&, || or )")
        return inner

    def _comparison(self) -> str:
        if not self.sees_sign("$", "@"):
            value = self._value()
            return f"{value} {self._operator()} {self._compared_path()}"
        path = self._path()
        if self.sees_word("starts"):
            self.take()
            self.expect("word", "with", "with")
            return f"{path} starts with {self._string()}"
        if self.sees_word("like_regex"):
            self.take()
            return f"{path} like_regex {self._pattern()}"
        operator = self._operator()
        if self.sees_sign("$", "@"):
            # PostgreSQL compares every pair of their values, and cannot be interrupted meanwhile.
            raise self.fault("a path is compared with a path: compare it with a value")
        return f"{path} {operator} {self._value()}"

    def _operator(self) -> str:
        if not (self.next.kind == "sign" and self.next.text in _COMPARISONS):
            raise self.expected(
                "a predicate, such as $.replicas > 3 or exists($.tls): a comparison (== != < <= > >=), "
                "starts with or like_regex"
            )
        operator = self.take().text
        return "!=" if operator == "<>" else operator

    def _compared_path(self) -> str:
        if not self.sees_sign("$", "@"):
            raise self.expected("a path, which begins with $ or @")
        return self._path()

    def _value(self) -> str:
        match self.next.kind:
            case "string":
                return self._string()
            case "number":
                return self._number()
            case "word" if self.next.text in _LITERALS:
                return self.take().text
            case _:
                raise self.expected("a path (it begins with $ or @) or a value: a string, number, true, false or null")

    def _number(self) -> str:
        token = self.take()
        value = float(token.text)
        if not math.isfinite(value) or (not value and re.search("[1-9]", re.split("[eE]", token.text)[0])):
            raise _fault(token.position, f"{token.text[:40]} is beyond the range of a double")
        return token.text

    def _string(self) -> str:
        return encode_json(self._text())

    def _text(self) -> str:
        token = self.expect("string", "", "a string in double quotes")
        try:
            text: str = json.loads(token.text)
            text.encode()
        except ValueError:
            raise _fault(token.position, "the string has an escape that JSON does not have") from None
        if "\0" in text:
            raise _fault(token.position, "the string has the character U+0000")
        return text

    def _pattern(self) -> str:
        pattern = self._string()
        if not self.sees_word("flag"):
            return pattern
        self.take()
        position = self.next.position
        flags = self._text()
        if not _FLAGS.fullmatch(flags):
            raise _fault(position, "flags of like_regex are i, m, q and s")
        return f"{pattern} flag {encode_json(flags)}"

    def _path(self) -> str:
        if not self.sees_sign("$", "@"):
            raise self.expected("a path, which begins with $ or @")
        root = self.take()
        if root.text == "@" and not self.filters:
            raise _fault(root.position, "@ means the tested value, and is allowed only in a filter ?( )")
        if self.next.kind in {"word", "number", "string"} and self.next.position == root.position + 1:
            raise _fault(root.position, "variables are not supported: write the value")
        path = root.text
        while self.sees_sign(".", "[", "?"):
            path += self._accessor()
        return path

    def _accessor(self) -> str:
        match self.take().text:
            case ".":
                return f".{self._member()}"
            case "[":
                subscripts = self._subscripts()
                self.expect("sign", "]", ", or ]")
                return f"[{subscripts}]"
            case _:
                self.filters += 1
                inner = self._parenthesized()
                self.filters -= 1
                return f"?({inner})"

    def _member(self) -> str:
        if self.sees_sign("*"):
            return self.take().text
        if self.sees_sign("**"):
            if self.has_all_levels:
                # Each one multiplies PostgreSQL's memory use by the size of the document.
                raise self.fault("a second ** is not allowed")
            self.has_all_levels = True
            return self.take().text
        if self.next.kind == "string":
            return self._string()
        word = self.expect("word", "", "a key: put it into double quotes if it is not a word, or * or **")
        return self._method(word) if self.sees_sign("(") else encode_json(word.text)

    def _method(self, word: _Token) -> str:
        if word.text not in _METHODS:
            raise _fault(word.position, f"there is no method {word.text[:40]}(): type() and size() are supported")
        self.take()
        self.expect("sign", ")", ")")
        return f"{word.text}()"

    def _subscripts(self) -> str:
        if self.sees_sign("*"):
            return self.take().text
        subscripts = [self._range()]
        while self.sees_sign(","):
            self.take()
            subscripts.append(self._range())
        return ", ".join(subscripts)

    def _range(self) -> str:
        first = self._index()
        if not self.sees_word("to"):
            return first
        self.take()
        return f"{first} to {self._index()}"

    def _index(self) -> str:
        if not self.sees_word("last"):
            return self._position()
        self.take()
        if self.sees_sign("-"):
            self.take()
            return f"last - {self._position()}"
        if self.next.kind == "number" and self.next.text.startswith("-"):
            token = self.take()
            return f"last - {_whole(token, token.text[1:])}"
        return "last"

    def _position(self) -> str:
        token = self.expect("number", "", "*, the index of an element, or last")
        return _whole(token, token.text)


def _whole(token: _Token, digits: str) -> str:
    # PostgreSQL's limit of an index.
    if not digits.isdecimal() or int(digits) >= 2**31:
        raise _fault(token.position, "an index is a whole number from 0 to 2147483647")
    return digits
