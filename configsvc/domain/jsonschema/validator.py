"""Configurations against a schema: the validator, compiled once, and its faults."""

from collections.abc import Mapping

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.compiled import CompiledSchemas
from configsvc.domain.jsonschema.explanation import Explanation
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.work import work_of
from configsvc.domain.models import SchemaVersionRef


class Validator:
    """A schema that configurations are held against, with the stored versions that it refers to, and those to which
    they refer.

    Raises UnusableSchemaError for a document that is not well-formed, or one that is missing.
    """

    def __init__(self, document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]) -> None:
        self._schemas = CompiledSchemas(document, referenced)
        self.work = work_of(self._schemas)

    def accepts(self, config: JsonObject) -> bool:
        """Whether a configuration satisfies the schema."""
        return self._schemas.compiled.is_valid(config)

    def faults(self, config: JsonObject) -> tuple[Fault, ...]:
        """Every fault of a configuration, at most MAX_FAULTS; empty if it satisfies the schema."""
        if self._schemas.compiled.is_valid(config):
            return ()
        return Explanation(self._schemas).faults(config)
