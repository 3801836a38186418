"""Characters by which one name can be taken for another: invisible ones, and letters that look like others."""

import re
import unicodedata

# Scripts whose letters are taken for one another. A name may have several of them, but not within a word.
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "LISU", "DESERET", "OSAGE"})
_WORD = re.compile(r"[^\W\d_]+")


def lookalike_fault(name: str) -> str | None:
    """Return what makes a name look like another one, as the end of a sentence about it; None if nothing is known."""
    hidden = next((character for character in name if not character.isprintable()), None)
    if hidden is not None:
        return f"has the invisible character {_code(hidden)}: leave it out"
    plain = unicodedata.normalize("NFKC", name)
    if plain != name:
        strange = next(c for c in name if unicodedata.normalize("NFKC", c) != c or unicodedata.combining(c))
        return f"has {_code(strange)}, which looks like another character: write it in Unicode's form NFKC"
    for word in _WORD.findall(name):
        scripts = {script: letter for letter in reversed(word) if (script := _script(letter)) in _ALIKE}
        if len(scripts) > 1:
            mixed = " and ".join(f"{script.capitalize()} ({_code(scripts[script])})" for script in sorted(scripts))
            return f"mixes letters that look alike in one word: {mixed}"
    return None


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
