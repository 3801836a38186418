"""Names that can be taken for others."""

import pytest

from configsvc.domain.lookalikes import lookalike_fault


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "alice@example.org",
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "spiffe://example.org/ns/billing",
        "Jörg Müller",
        "иван@example.org",
        "Ελένη",
        "管理者",
        "관리자-team1",
        "a b_c",
    ],
)
def test_names_in_any_language_are_fine(name: str) -> None:
    assert lookalike_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("\u0430dmin", "Cyrillic (U+0430) and Latin (U+0064)"),
        ("admin@ex\u0430mple.org", "Cyrillic (U+0430) and Latin (U+0065)"),
        ("adm\u03b9n", "Greek (U+03B9) and Latin (U+0061)"),
        ("ad\u202emin", "the invisible character U+202E"),
        ("admin\u200b", "the invisible character U+200B"),
        ("\ufeffadmin", "the invisible character U+FEFF"),
        ("ad\u00admin", "the invisible character U+00AD"),
        ("admin\u2066x", "the invisible character U+2066"),
        ("a\u2028b", "the invisible character U+2028"),
        ("admin\u00a0", "the invisible character U+00A0"),
        ("\x1b[31madmin", "the invisible character U+001B"),
        ("\uff41dmin", "U+FF41"),
        ("\U0001d41admin", "U+1D41A"),
        ("Jo\u0308rg", "U+0308"),
    ],
)
def test_names_that_look_like_others_are_told_by_the_character(name: str, fault: str) -> None:
    assert fault in str(lookalike_fault(name))
