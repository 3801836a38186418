"""Models that contents are bound to: pydantic's, and dataclasses."""

import dataclasses
import json
from collections.abc import Callable, Iterator
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
            content = json.loads(text)
            faults = [Fault(pointer_of(*_steps(fault, content)), fault["msg"]) for fault in error.errors()]
            raise UnfitError(*faults) from None

    return read


def _steps(fault: Any, content: Any) -> Iterator[str | int]:
    """Yield the steps to a fault as far as the content has them: pydantic adds some of its own, as for unions."""
    for place, step in enumerate(fault["loc"], start=1):
        try:
            content = content[step if isinstance(content, list) else str(step)]
        except (LookupError, TypeError):
            if fault["type"] == "missing" and place == len(fault["loc"]):
                yield step
            return
        yield step


def pointer_of(*steps: str | int) -> str:
    """Return the JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
