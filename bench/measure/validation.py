"""Validation of a configuration by the service's validator, against the jsonschema package.

A call through the service would take hundreds of times as long as the validation, so this module, as the only one,
imports the service's code.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jsonschema

from bench.loads import messages
from bench.plan import Measure, Run, in_turn
from bench.report.results import Row, figures, row
from configsvc.domain.jsonschema.validator import Validator

COUNT = 2000
NUMBER = {"type": "number", "minimum": 0}
TEXT = {"type": "string", "maxLength": 1024}


async def measure(run: Run) -> tuple[Row, ...]:
    """Return the rows of validation."""
    document, config = _closed(messages.content()), messages.content()
    ours = Validator(document, {})
    theirs: Any = jsonschema.Draft202012Validator(document)
    if ours.faults(config) or not ours.faults(config | {"turn": 1}):
        raise RuntimeError("the validator rejects a valid configuration, or accepts an invalid one")
    measurements: dict[str, Measure] = {
        "Validator": partial(_microseconds, partial(ours.faults, config), COUNT),
        "jsonschema": partial(_microseconds, partial(theirs.is_valid, config), COUNT // 20),
    }
    samples = await in_turn(run.plan.repetitions, measurements, run.say)
    figure = figures(samples, {})
    return (
        row(
            "validation",
            "validation against a JSON Schema",
            "µs",
            figure("Validator"),
            limit=("jsonschema", figure("jsonschema")),
        ),
    )


async def _microseconds(validate: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        validate()
    return (time.perf_counter() - began) / times * 1e6


def _closed(value: Any) -> dict[str, Any]:
    """Return a schema that the value satisfies and that permits no other members."""
    if isinstance(value, dict):
        content = cast("dict[str, Any]", value)
        members = {name: _closed(member) for name, member in content.items()}
        return {
            "type": "object",
            "properties": members,
            "required": list(members),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "items": _closed(cast("list[Any]", value)[0]), "maxItems": 100}
    if isinstance(value, bool):
        return {"type": "boolean"}
    return TEXT if isinstance(value, str) else NUMBER
