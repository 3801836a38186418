"""The real schemas and configurations beside the project, if there are any."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from configsvc.domain.content import JsonObject
from demo.files import CORPUS

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the folder of real schemas, ../shared/corpus, is not there"
)


class DatesAsText(SafeConstructor):
    """A YAML loader that keeps dates as text, because JSON has no dates."""


DatesAsText.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def documents() -> dict[str, JsonObject]:
    """Return the schemas by name."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(CORPUS.glob("*/schema.json"))}


def configurations(schema: str, kind: str) -> Iterator[tuple[str, JsonObject]]:
    """Yield the valid or invalid configurations of a schema, with their file names."""
    for path in sorted((CORPUS / schema / kind).glob("*")):
        yield path.name, loaded(path)


def loaded(path: Path) -> JsonObject:
    """Return the content of a file."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = DatesAsText
    return json.loads(json.dumps(yaml.load(path.read_text())))
