"""Trees of files for tests."""

import json
from collections.abc import Mapping
from pathlib import Path

from configsvc.cli.documents import parse_document, parse_json, yaml_text
from configsvc.cli.failures import CliError
from demo.files import CORPUS, valid_name
from tests.domain.jsonschema import corpus

# Its schema accepts the largest double, but no configuration may contain a number beyond 2^53-1.
BEYOND = "architectfx/architectfx.yaml"

FILES = Mapping[str, str]


def tree_of(folder: Path, files: FILES) -> Path:
    """Write files, by their paths in the tree; return the folder."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return folder


def corpus_files(kind: str, suffix: str = "") -> dict[str, str]:
    """Return the real configurations of a kind, each schema an application, as files of a tree: as they were written,
    unless strict YAML refuses them.
    """
    files: dict[str, str] = {}
    for folder in sorted(path.parent for path in CORPUS.glob("*/schema.json")):
        schema = folder.name
        files[f"schemas/{schema}.json"] = (folder / "schema.json").read_text(encoding="utf-8")
        entries: dict[str, dict[str, str]] = {}
        for path in sorted((folder / kind).glob("*")):
            if f"{schema}/{path.name}" != BEYOND:
                ending = ".json" if path.suffix == ".json" else ".yaml"
                files[f"applications/{schema}{suffix}/{valid_name(path.name)}{ending}"] = _text(path)
                entries[valid_name(path.name)] = {"schema": schema}
        if entries:
            files[f"applications/{schema}{suffix}/_application.yaml"] = yaml_text({"configurations": entries})
    return files


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix != ".json":
            parse_document(text, path.name)
    except CliError:
        return yaml_text(parse_json(json.dumps(corpus.loaded(path))))
    return text
