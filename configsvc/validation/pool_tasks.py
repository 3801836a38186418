"""Work on many contents, done in a process of its own: this module needs no gRPC, no database and no event loop."""

import json
import pickle
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from configsvc.domain.content import JsonObject, encode_json, same_json
from configsvc.domain.errors import InvalidRequestError
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import PinnedVersion, SchemaVersionRef
from configsvc.domain.operations import ItemFault
from configsvc.domain.transformations import transformed

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


def faults_within(documents: bytes, config: str, cpu_seconds: float) -> tuple[Fault, ...]:
    """What is wrong with a config, which is JSON text, by a pickled schema version. A config that takes longer ends the
    process: nothing else can interrupt jsonschema-rs.
    """
    validator = _unpickled(documents)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        return validator.faults(json.loads(config))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@lru_cache(maxsize=REMEMBERED_VALIDATORS)
def _unpickled(documents: bytes) -> Validator:
    document, referenced = pickle.loads(documents)  # noqa: S301  # the service's own
    return Validator(document, referenced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """What is done to a config: a JSON Patch as JSON text, or a merge patch, or nothing."""

    json_patch: str | None
    merge_patch: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """A config after a transformation, as JSON text, or None where it failed; and what is wrong with it. is_same: it is
    the same as before.
    """

    config: str | None
    faults: tuple[ItemFault, ...]
    is_same: bool
    violates: bool


def transformed_configs(
    documents: VersionDocuments, transformation: Transformation, configs: Sequence[str]
) -> list[Transformed]:
    """Each of the configs, which are JSON text, after the transformation, held against the schema version."""
    validator = _validator(documents)
    return [_transformed(validator, transformation, config) for config in configs]


def _transformed(validator: Validator, transformation: Transformation, config: str) -> Transformed:
    try:
        after = transformed(json.loads(config), json_patch=transformation.json_patch, merge=transformation.merge_patch)
    except InvalidRequestError as error:
        faults = (ItemFault(field=fault.field, keyword="", message=fault.description) for fault in error.violations)
        return Transformed(config=None, faults=tuple(faults), is_same=False, violates=False)
    faults = faults_of_config(validator, after)
    return Transformed(
        config=encode_json(after),
        faults=faults,
        is_same=same_json(json.loads(config), after),
        violates=bool(faults),
    )
