"""Configurations against a schema: the validator, compiled once, and its faults."""

from collections.abc import Mapping
from itertools import islice

import jsonschema_rs

from configsvc.domain.content import JsonObject, escaped
from configsvc.domain.models import SchemaVersionRef
from configsvc.domain.schemas import MAX_FAULTS, Fault, stored_uri


class Validator:
    """A schema that configurations are held against, with the stored versions that it refers to."""

    def __init__(self, document: JsonObject, referenced: Mapping[SchemaVersionRef, JsonObject]) -> None:
        resources = [(stored_uri(reference), found) for reference, found in referenced.items()]
        self._compiled = jsonschema_rs.validator_for(
            document, validate_formats=True, offline=True, registry=jsonschema_rs.Registry(resources)
        )

    def faults(self, config: JsonObject) -> tuple[Fault, ...]:
        """Every fault of a configuration, at most MAX_FAULTS; empty if it satisfies the schema."""
        if self._compiled.is_valid(config):
            return ()
        return tuple(
            Fault(
                pointer="".join(f"/{escaped(str(key))}" for key in error.instance_path),
                keyword=error.kind.name,
                message=f"does not satisfy {error.kind.name}",
            )
            for error in islice(self._compiled.iter_errors(config), MAX_FAULTS)
        )
