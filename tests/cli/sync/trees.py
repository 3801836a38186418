"""Trees of files for tests."""

import json
from collections.abc import Mapping
from pathlib import Path

from configsvc.cli.documents import parse_document, parse_json, pretty_json, yaml_text
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


def corpus_files(kind: str) -> dict[str, str]:
    """Return the real configurations of a kind, each schema an application, as files of a tree: as they were written,
    unless they have what a tree refuses.
    """
    files: dict[str, str] = {}
    for schema, document in corpus.documents().items():
        files[f"schemas/{schema}.json"] = json.dumps(document)
        entries: dict[str, dict[str, str]] = {}
        for name, content in corpus.configurations(schema, kind):
            if f"{schema}/{name}" == BEYOND:
                continue
            ending = ".json" if name.endswith(".json") else ".yaml"
            files[f"applications/{schema}/{valid_name(name)}{ending}"] = _text(CORPUS / schema / kind / name, content)
            entries[valid_name(name)] = {"schema": schema}
        if entries:
            files[f"applications/{schema}/_application.yaml"] = yaml_text({"configurations": entries})
    return files


def _text(path: Path, content: Mapping[str, object]) -> str:
    text = path.read_text(encoding="utf-8")
    exact = parse_json(json.dumps(content))
    try:
        if parse_document(text, path.name) == exact:
            return text
    except CliError:
        pass
    return pretty_json(exact) if path.suffix == ".json" else yaml_text(exact)
