"""Agreement with jsonschema, the reference, on real and generated schemas: docs/reference/json-schema.md lists the
differences.
"""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.documents import faults_of_document
from configsvc.domain.jsonschema.keywords import draft_of
from configsvc.domain.jsonschema.validator import Validator
from configsvc.validation.limits import STEPS_AT_ONCE
from tests.domain.jsonschema.corpus import configurations, needs_corpus
from tests.domain.jsonschema.corpus import documents as corpus_documents
from tests.domain.jsonschema.schemas import documents, drafts, objects, unhurried

REFERENCE: dict[int | None, Any] = {
    4: jsonschema.Draft4Validator,
    6: jsonschema.Draft6Validator,
    7: jsonschema.Draft7Validator,
    2019: jsonschema.Draft201909Validator,
    2020: jsonschema.Draft202012Validator,
}


def reference(document: JsonObject) -> Any:
    kind = REFERENCE[draft_of(document)]
    return kind(document, format_checker=kind.FORMAT_CHECKER)


@needs_corpus
@pytest.mark.timeout(240)
def test_all_real_configurations_have_the_same_verdict_from_both() -> None:
    counts = {"valid": 0, "invalid": 0}
    slow = 0
    for name, document in corpus_documents().items():
        validator, other = Validator(document, {}), reference(document)
        for kind in counts:
            for file, config in configurations(name, kind):
                counts[kind] += 1
                assert bool(validator.faults(config)) == (kind == "invalid"), (name, file)
                assert other.is_valid(config) == (kind == "valid"), (name, file)
                slow += validator.work.bound(config) > STEPS_AT_ONCE
    assert counts == {"valid": 792, "invalid": 343}
    assert slow == 1


# References in a circle are left out: the reference does not end there.
@given(drafts.flatmap(lambda draft: documents(draft, recursive=False)), st.lists(objects, min_size=3, max_size=10))
@unhurried
def test_schemas_of_hypothesis_have_the_same_verdict_from_both(document: JsonObject, configs: list[JsonObject]) -> None:
    assert not faults_of_document(document)
    validator, other = Validator(document, {}), reference(document)
    for config in configs:
        assert bool(validator.faults(config)) != other.is_valid(config), (document, config)
