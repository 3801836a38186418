"""The regular expressions of schemas: which can be used, and how their work is bounded.

A pattern within SMALL_SIZE that neither looks around nor refers back is matched by an automaton, in time linear in the
text. Any other needs backtracking, or an automaton so large that each character is dear. These are matched behind a
guard: steps that fail, one or two for each character, and count against the same limit as the pattern's own steps do.
So a long text meets the limit at once and a short one after little work. At the limit the engine fails, and
jsonschema-rs refuses the whole document, under `not` too.
"""

from functools import lru_cache

import jsonschema_rs

# Bytes of a compiled pattern, and the longest text in which a pattern is written.
SMALL_SIZE = 32 * 1024
MAX_SIZE = 2 * 1024 * 1024
MAX_LENGTH = 4096
MAX_STEPS = 4000
MATCHING = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_STEPS, size_limit=MAX_SIZE, dfa_size_limit=MAX_SIZE)

_LINEAR = jsonschema_rs.RegexOptions(size_limit=SMALL_SIZE)
# Steps of about 20 ns, by the size of what is compiled.
GUARDED_STEPS = 8
_STEPS = ((1024, 2), (2048, 25), (4096, 60), (8192, 90), (SMALL_SIZE, 160))
_GUARD = r"(?:^(?:(?!\x00)[^\x00])*(?!)|)"


@lru_cache(maxsize=4096)
def fault_of_pattern(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    if len(pattern) > MAX_LENGTH:
        return f"is a regular expression of {len(pattern)} characters: at most {MAX_LENGTH} are allowed"
    if not _compiles(bounded(pattern), MATCHING):
        return "is not a regular expression that can be used, or is one too large"
    return None


@lru_cache(maxsize=4096)
def bounded(pattern: str) -> str:
    """The pattern, behind the guard if it is not matched in linear time by a small automaton."""
    return pattern if _compiles(pattern, _LINEAR) else f"{_GUARD}(?:{pattern})"


def unbounded(pattern: str) -> str:
    """The pattern as its author wrote it, from what `bounded` made of it."""
    return pattern.removeprefix(_GUARD + "(?:")[:-1] if pattern.startswith(_GUARD) else pattern


@lru_cache(maxsize=4096)
def steps_per_character(pattern: str) -> int:
    """The work for each character of a text, by what `bounded` made of a pattern: an automaton that grows too large is
    simulated, each of its states at each character.
    """
    if pattern.startswith(_GUARD):
        return GUARDED_STEPS
    return next(steps for size, steps in _STEPS if _compiles(pattern, jsonschema_rs.RegexOptions(size_limit=size)))


def _compiles(pattern: str, options: jsonschema_rs.FancyRegexOptions | jsonschema_rs.RegexOptions) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options, offline=True)
    except jsonschema_rs.ValidationError:
        return False
    return True
