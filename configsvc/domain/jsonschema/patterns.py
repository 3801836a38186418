"""The regular expressions of schemas: checks, and bounds for their work.

A pattern within SMALL_SIZE without lookaround and backreferences is matched by an automaton, in time linear in the
text. Any other needs backtracking, or an automaton so large that each character is expensive. Such a pattern gets a
guard in front: one or two failing steps per character, which count toward the same limit as the steps of the pattern.
So a long text reaches the limit at once, and a short one after little work. At the limit the engine fails, and
jsonschema-rs rejects the whole document, also under `not`.
"""

import re
from functools import lru_cache

import jsonschema_rs

# Bytes of a compiled pattern, and characters of its source.
SMALL_SIZE = 32 * 1024
MAX_SIZE = 2 * 1024 * 1024
MAX_LENGTH = 4096
MAX_STEPS = 4000
MATCHING = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_STEPS, size_limit=MAX_SIZE, dfa_size_limit=MAX_SIZE)

_LINEAR = jsonschema_rs.RegexOptions(size_limit=SMALL_SIZE)
# Steps of about 20 ns, by the size of the compiled pattern.
GUARDED_STEPS = 8
_STEPS = ((1024, 2), (2048, 25), (4096, 60), (8192, 90), (SMALL_SIZE, 160))
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")
# What is no mistake elsewhere.
_ONLY_PYTHON = ("bad escape", "unknown extension", "look-behind requires", "global flags")
_GUARD = r"(?:^(?:(?!\x00)[^\x00])*(?!)|)"


@lru_cache(maxsize=4096)
def fault_of_pattern(pattern: str) -> str | None:
    """Return the fault of a pattern, or None."""
    if len(pattern) > MAX_LENGTH:
        return f"is a regular expression of {len(pattern)} characters: at most {MAX_LENGTH} are allowed"
    # Behind the guard, some mistakes are taken for text.
    if _compiles(pattern, MATCHING) and _compiles(bounded(pattern), MATCHING):
        return None
    return _mistake(pattern) or (
        "is not a supported regular expression, or is too large when compiled: repetitions such as {100} multiply"
    )


def _mistake(pattern: str) -> str | None:
    """Return a mistake that Python's parser finds, with its place, or None: it knows less syntax, but gives reasons."""
    # Each insertion moves what follows by one.
    named = _NAMED_GROUP.sub("(?P<", pattern)
    try:
        re.compile(named)
    except re.error as error:
        if error.pos is None or error.msg.startswith(_ONLY_PYTHON):
            return None
        place = error.pos + 1 - named.count("(?P<", 0, error.pos) + pattern.count("(?P<", 0, error.pos)
        return f"is not a regular expression: {error.msg} at character {place}"
    except (RecursionError, OverflowError):
        return None
    return None


@lru_cache(maxsize=4096)
def bounded(pattern: str) -> str:
    """Return a pattern, with the guard unless a small automaton matches it in linear time."""
    return pattern if _compiles(pattern, _LINEAR) else f"{_GUARD}(?:{pattern})"


def unbounded(pattern: str) -> str:
    """Return the original of a pattern from `bounded`."""
    return pattern.removeprefix(_GUARD + "(?:")[:-1] if pattern.startswith(_GUARD) else pattern


@lru_cache(maxsize=4096)
def steps_per_character(pattern: str) -> int:
    """Return the steps per character of a pattern from `bounded`. A large automaton is simulated state by state."""
    if pattern.startswith(_GUARD):
        return GUARDED_STEPS
    return next(steps for size, steps in _STEPS if _compiles(pattern, jsonschema_rs.RegexOptions(size_limit=size)))


def _compiles(pattern: str, options: jsonschema_rs.FancyRegexOptions | jsonschema_rs.RegexOptions) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options, offline=True)
    except jsonschema_rs.ValidationError:
        return False
    return True
