"""Work on many contents, done in a process of its own: this module needs no gRPC, no database and no event loop."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from configsvc.domain.content import JsonObject
from configsvc.domain.models import PinnedVersion, SchemaVersionRef
from configsvc.domain.operations import ItemFault
from configsvc.domain.validation import Validator

# Each with its documents, of 8 MiB at most.
REMEMBERED_VALIDATORS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDocuments:
    """A schema version with its document and those that it refers to, which never change."""

    version: PinnedVersion
    document: JsonObject = field(compare=False)
    referenced: Mapping[SchemaVersionRef, JsonObject] = field(compare=False)


@lru_cache(maxsize=REMEMBERED_VALIDATORS)
def _validator(documents: VersionDocuments) -> Validator:
    return Validator(documents.document, documents.referenced)


def faults_of_configs(documents: VersionDocuments, configs: Sequence[str]) -> list[tuple[ItemFault, ...]]:
    """What is wrong with each of the configs, which are JSON text."""
    validator = _validator(documents)
    return [faults_of_config(validator, json.loads(config)) for config in configs]


def faults_of_config(validator: Validator, config: JsonObject) -> tuple[ItemFault, ...]:
    """What is wrong with a config, as faults of an item."""
    return tuple(
        ItemFault(field=f"config{fault.pointer}", keyword=fault.keyword, message=fault.message)
        for fault in validator.faults(config)
    )
