"""Validation tasks for another process: this module needs no gRPC, no database and no event loop."""

import json
import pickle
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from configsvc.domain.content import JsonObject, same_json
from configsvc.domain.errors import InvalidRequestError
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import PinnedVersion, SchemaVersionRef
from configsvc.domain.operations import ItemFault, fault_of
from configsvc.domain.transformations import transformed
from configsvc.offload.forks import CpuTimeExceededError, call_within
from configsvc.validation.limits import CPU_SECONDS, STEPS_AT_ONCE, TOO_SLOW

Answer = TypeVar("Answer")

CALL_SECONDS = 2.0
# Each with its documents, 8 MiB at most.
VALIDATORS_LIMIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDocuments:
    """A schema version with its document and those that it refers to; they never change."""

    version: PinnedVersion
    document: JsonObject = field(compare=False)
    referenced: Mapping[SchemaVersionRef, JsonObject] = field(compare=False)


@lru_cache(maxsize=VALIDATORS_LIMIT)
def _validator(documents: VersionDocuments) -> Validator:
    return Validator(documents.document, documents.referenced)


def faults_of_configs(documents: VersionDocuments, configs: Sequence[str]) -> list[tuple[ItemFault, ...]]:
    """Return the faults of the first configs, given as JSON text: of as many as take CALL_SECONDS."""
    validator = _validator(documents)
    return list(_in_time(_faults_of_text(validator, config) for config in configs))


def _faults_of_text(validator: Validator, text: str) -> tuple[ItemFault, ...]:
    try:
        config = json.loads(text)
    except ValueError as error:
        # Written in SQL, such as a number of thousands of digits: it must not fail the items beside it.
        return (_unreadable(error),)
    return _faults_of_config(validator, config, text)


def _unreadable(error: ValueError) -> ItemFault:
    return ItemFault(field="config", keyword="", message=f"cannot be read: {error}")


def _in_time(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield answers for CALL_SECONDS, so that others who need the process are not kept waiting."""
    end = time.monotonic() + CALL_SECONDS
    for answer in answers:
        yield answer
        if time.monotonic() > end:
            return


def _faults_of_config(validator: Validator, config: JsonObject, text: str) -> tuple[ItemFault, ...]:
    """Return the faults of a config as faults of an item."""
    return tuple(
        ItemFault(field=f"config{fault.pointer}", keyword=fault.keyword, message=fault.message)
        for fault in _faults_in_time(validator, config, text)
    )


def _faults_in_time(validator: Validator, config: JsonObject, text: str) -> tuple[Fault, ...]:
    if not validator.work.exceeds(STEPS_AT_ONCE, config, text):
        return validator.faults(config)
    try:
        return call_within(CPU_SECONDS, validator.faults, config)
    except CpuTimeExceededError:
        return (TOO_SLOW,)


def faults_within(documents: bytes, config: str, cpu_seconds: float) -> tuple[Fault, ...]:
    """Return the faults of a config, given as JSON text, by a pickled schema version. Exceeding cpu_seconds ends the
    process: nothing else can interrupt jsonschema-rs.
    """
    validator = _unpickled(documents)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        return validator.faults(json.loads(config))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@lru_cache(maxsize=VALIDATORS_LIMIT)
def _unpickled(documents: bytes) -> Validator:
    document, referenced = pickle.loads(documents)  # noqa: S301  # the service's own
    return Validator(document, referenced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """A change of a config: a JSON Patch as JSON text, a merge patch, or nothing."""

    json_patch: str | None
    merge_patch: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """A config after a transformation, as JSON text; None if the transformation failed. is_same: nothing changed;
    violates: the faults are violations of the schema.
    """

    config: str | None
    faults: tuple[ItemFault, ...]
    is_same: bool
    violates: bool


def transformed_configs(
    documents: VersionDocuments, transformation: Transformation, configs: Sequence[str]
) -> list[Transformed]:
    """Transform the first configs, given as JSON text, and validate them: as many as take CALL_SECONDS."""
    validator = _validator(documents)
    return list(_in_time(_transformed(validator, transformation, config) for config in configs))


def _transformed(validator: Validator, transformation: Transformation, config: str) -> Transformed:
    try:
        before = json.loads(config)
    except ValueError as error:
        return Transformed(config=None, faults=(_unreadable(error),), is_same=False, violates=False)
    try:
        after, text = transformed(before, json_patch=transformation.json_patch, merge=transformation.merge_patch)
    except InvalidRequestError as error:
        return Transformed(config=None, faults=tuple(map(fault_of, error.violations)), is_same=False, violates=False)
    faults = _faults_of_config(validator, after, text)
    return Transformed(
        config=text,
        faults=faults,
        is_same=same_json(before, after),
        violates=bool(faults),
    )
