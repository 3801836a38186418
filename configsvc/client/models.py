"""Models that contents are bound to: pydantic's, and dataclasses."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from configsvc.client.errors import Fault

Model = TypeVar("Model")


class UnfitError(Exception):
    """A content that a model refuses."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


def reader_of(model: type[Model]) -> Callable[[str], Model]:
    """Return a function from JSON text to the model, which raises UnfitError. Raises TypeError for other types."""
    if hasattr(model, "model_validate_json"):
        return _pydantic_reader(model)
    if dataclasses.is_dataclass(model):
        from configsvc.client.dataclass_models import check_annotations, convert  # noqa: PLC0415

        check_annotations(model)
        return lambda text: cast("Model", convert(json.loads(text), model, ""))
    raise TypeError(f"{model!r} is neither a pydantic model nor a dataclass")


def _pydantic_reader(model: Any) -> Callable[[str], Any]:
    # Imported here: a program without such a model need not have pydantic.
    from pydantic import ValidationError  # noqa: PLC0415

    def read(text: str) -> Any:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise UnfitError(*[Fault(pointer_of(*fault["loc"]), fault["msg"]) for fault in error.errors()]) from None

    return read


def pointer_of(*steps: str | int) -> str:
    """Return the JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
