"""The public JSON-Schema-Test-Suite: each case has the right verdict, or its schema is refused with a reason."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configsvc.domain.jsonschema.documents import faults_of_document
from configsvc.domain.jsonschema.keywords import DRAFT_URIS
from configsvc.domain.jsonschema.validator import Validator

SUITE = Path(__file__).parents[3] / ".venv" / "json-schema-test-suite" / "tests"
DRAFTS: dict[str, str] = dict(
    zip(("draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"), DRAFT_URIS, strict=True)
)
needs_suite = pytest.mark.skipif(
    not SUITE.is_dir(), reason="the JSON-Schema-Test-Suite is not there: make json-schema-suite"
)

# Why a schema may be refused, by a part of the message: nothing is fetched, and other dialects are unknown.
ALLOWED_REASONS = ("the service fetches nothing", "must be one of the known drafts")
# The suite asks for formats to be annotations, or leaves it open. Here they are asserted in every draft.
FORMATS = "format.json"


def groups(draft: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((SUITE / draft).rglob("*.json")):
        for group in json.loads(path.read_text()):
            # A document is an object.
            if isinstance(group["schema"], dict):
                yield path.relative_to(SUITE / draft).as_posix(), group


@needs_suite
@pytest.mark.parametrize("draft", DRAFTS)
def test_each_case_of_the_public_suite_has_the_right_verdict_or_a_refused_schema(draft: str) -> None:
    outcomes = Counter[str]()
    wrong: list[tuple[str, str, str]] = []
    for file, group in groups(draft):
        document = {"$schema": DRAFTS[draft], **group["schema"]}
        faults = faults_of_document(document)
        if faults:
            assert any(reason in faults[0].message for reason in ALLOWED_REASONS), (file, group, faults)
            outcomes["refused"] += len(group["tests"])
            continue
        validator = Validator(document, {})
        for case in group["tests"]:
            accepted = validator.accepts(case["data"])
            assert accepted == (not validator.faults(case["data"])), (file, group, case)
            outcomes["right" if accepted == case["valid"] else "wrong"] += 1
            if accepted != case["valid"] and file != FORMATS:
                wrong.append((file, group["description"], case["description"]))
    assert wrong == []
    assert outcomes["right"] > 20 * outcomes["refused"]
