"""Validation of configurations against a schema that is compiled once."""

from collections.abc import Mapping

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.compiled import CompiledSchemas
from configsvc.domain.jsonschema.explanation import Explanation
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.work import work_of
from configsvc.domain.models import SchemaVersionRef


class Validator:
    """A compiled schema with all stored versions that it refers to, directly or not.

    Raises UnusableSchemaError for a document that is malformed or missing.
    """

    def __init__(self, document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]) -> None:
        self._schemas = CompiledSchemas(document, referenced)
        self.work = work_of(self._schemas)

    def accepts(self, config: JsonObject) -> bool:
        """Return whether a configuration satisfies the schema."""
        return self._schemas.compiled.is_valid(config)

    def faults(self, config: JsonObject) -> tuple[Fault, ...]:
        """Return the faults of a configuration, at most MAX_FAULTS; none if it satisfies the schema."""
        if self._schemas.compiled.is_valid(config):
            return ()
        return Explanation(self._schemas).faults(config)
