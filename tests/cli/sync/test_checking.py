"""Checks of a tree without a service: its verdicts are those of the service."""

import json
from pathlib import Path
from typing import Any

import pytest

from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync.checking import Checked, check_tree
from configsvc.cli.sync.commands import check_offline
from configsvc.cli.sync.reading import read_tree
from tests.cli.sync.trees import FILES, corpus_files, tree_of
from tests.domain.jsonschema.corpus import needs_corpus

SHOP = "applications/shop"
INNER = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
LIMITS = {"type": "object", "properties": {"max": {"type": "integer"}, "in": INNER}}


def checked(directory: Path, files: FILES) -> Checked:
    tree_of(directory, files)
    return check_tree(read_tree(directory), directory)


def faults_of(directory: Path, files: FILES) -> list[str]:
    with pytest.raises(CliError) as refused:
        checked(directory, files)
    assert refused.value.code is ExitCode.INVALID
    return refused.value.details


def schemas(**documents: Any) -> dict[str, str]:
    return {f"schemas/{name}.json": json.dumps(document, indent=2) for name, document in documents.items()}


def test_faults_are_named_with_the_line_of_the_value(tmp_path: Path) -> None:
    files = schemas(limits=LIMITS) | {
        f"{SHOP}/limits.yaml": "# yaml-language-server: $schema=../../schemas/limits.json\n\n"
        "in:\n  a: 1\n  b: 2\nmax: x\n",
        f"{SHOP}/eu/limits.json": '{\n  "$schema": "../../../schemas/limits.json",\n  "max": 1.5\n}\n',
        f"{SHOP}/free.yaml": "max: x\n",
    }
    assert faults_of(tmp_path, files) == [
        f"{SHOP}/eu/limits.json:3:3: /max: must be integer, but is number",
        f"{SHOP}/limits.yaml:6:1: /max: must be integer, but is string",
        f'{SHOP}/limits.yaml:3:1: /in: has the property "b", which is not declared',
    ]


def test_schemas_are_taken_as_they_are_written(tmp_path: Path) -> None:
    files = schemas(limits=LIMITS) | {f"{SHOP}/a.json": '{"$schema": "../../schemas/limits.json", "other": 1}'}
    assert checked(tmp_path, files) == Checked(configurations=1, schemas=1, unchecked=())


def test_faults_of_schemas_are_named_with_their_lines(tmp_path: Path) -> None:
    broken = {"type": "object", "properties": {"a": {"type": "intger"}, "b": {"$ref": "#/$defs/x"}}}
    first, second = faults_of(tmp_path, schemas(web=broken))
    assert first.startswith("schemas/web.json:5:7: /properties/a/type: ")
    assert second.startswith("schemas/web.json:8:7: /properties/b/$ref: has no target")


def test_schemas_refer_to_others_of_the_tree_and_are_not_checked_if_those_are_on_the_service_alone(
    tmp_path: Path,
) -> None:
    def referring(name: str) -> dict[str, Any]:
        return {"type": "object", "properties": {"base": {"$ref": f"configsvc://schemas/{name}@1"}}}

    files = schemas(base=LIMITS, web=referring("base"), far=referring("elsewhere")) | {
        f"{SHOP}/_application.yaml": "configurations: {old: {schema: web@1}, gone: {schema: gone}}",
        f"{SHOP}/far.json": '{"$schema": "../../schemas/far.json", "base": 1}',
        f"{SHOP}/old.yaml": "base: 1",
        f"{SHOP}/gone.yaml": "base: 1",
        f"{SHOP}/web.json": '{"$schema": "../../schemas/web.json", "base": {"max": 1}}',
    }
    unchecked = ("shop/far", "shop/gone", "shop/old")
    assert checked(tmp_path, files) == Checked(configurations=4, schemas=3, unchecked=unchecked)
    wrong = files | {f"{SHOP}/web.json": '{"$schema": "../../schemas/web.json", "base": {"max": "x"}}'}
    assert faults_of(tmp_path, wrong) == [f"{SHOP}/web.json:1:48: /base/max: must be integer, but is string"]


def test_the_check_says_what_it_checked_and_what_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = schemas(web=LIMITS) | {
        f"{SHOP}/_application.yaml": "configurations: {a: {schema: web@1}}",
        f"{SHOP}/a.yaml": "max: 1",
    }
    check_offline(tree_of(tmp_path, files))
    out, err = capsys.readouterr()
    assert out == "1 configuration and 1 schema are valid\n"
    assert err == "not checked, as the schema that they need is on the service alone: shop/a\n"


@needs_corpus
@pytest.mark.timeout(150)
def test_all_real_configurations_are_accepted_and_all_that_must_be_refused_are_refused(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, corpus_files("valid") | corpus_files("invalid", ".invalid"))
    read = read_tree(tree)
    assert sum(len(folder.configurations) for folder in read.applications.values()) == 791 + 343
    with pytest.raises(CliError) as refused:
        check_tree(read, tree)
    files = {fault.split(":")[0] for fault in refused.value.details}
    assert len(files) == 343
    assert all(Path(file).parts[1].endswith(".invalid") for file in files)
