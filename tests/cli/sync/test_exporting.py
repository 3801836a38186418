"""Trees that an export writes: they are read as they were written, and keep what people wrote into them."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.cli.differences import same_value
from configsvc.cli.failures import CliError
from configsvc.cli.sync.checking import Checked, check_tree
from configsvc.cli.sync.exporting import Export, Exported, Written, write_tree
from configsvc.cli.sync.naming import Ending
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.tree import Pin, Tree
from tests.cli.running import Cli
from tests.cli.sync.trees import tree_of

WEB: dict[str, Any] = {"type": "object", "properties": {"port": {"type": "integer"}}, "additionalProperties": False}
SCHEMAS: Mapping[str, tuple[int, Any]] = {"web": (2, WEB), "base": (1, {"type": "object"})}


def one(name: str, config: Any, schema: str | None = None, comments: str = "", application: str = "shop") -> Exported:
    found, _, version = (schema or "").partition("@")
    pin = Pin(schema=found, version=int(version)) if schema else None
    return Exported(application=application, name=name, comments=comments, config=config, schema=pin)


def export_of(*items: Exported, applications: Mapping[str, str] | None = None) -> Export:
    used = {item.schema.schema for item in items if item.schema}
    return Export(
        applications=applications if applications is not None else {item.application: "" for item in items},
        configurations=items,
        schemas={name: schema for name, schema in SCHEMAS.items() if name in used},
        covers=lambda _application, _name: True,
    )


def written(directory: Path, export: Export, ending: Ending = Ending.YAML, *, prune: bool = False) -> Written:
    return write_tree(directory, export, ending=ending, prune=prune)


def texts(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def assert_says(tree: Tree, export: Export) -> None:
    """Check that a tree says what was exported: a pin without a version is one to the newest."""
    assert {name: schema.document for name, schema in tree.schemas.items()} == {
        name: document for name, (_, document) in export.schemas.items()
    }
    assert {name: folder.comments or "" for name, folder in tree.applications.items()} == export.applications
    found = [one for folder in tree.applications.values() for one in folder.configurations.values()]
    assert {(one.application, one.name) for one in found} == {
        (one.application, one.name) for one in export.configurations
    }
    for item in export.configurations:
        file = tree.applications[item.application].configurations[item.name]
        assert same_value(file.config, item.config)
        assert (file.comments or "") == item.comments
        pin = file.schema if isinstance(file.schema, Pin) else None
        newest = export.schemas[pin.schema][0] if pin else None
        assert (pin and Pin(schema=pin.schema, version=pin.version or newest)) == item.schema


PARTS = st.sampled_from(
    ["a", "A", "b", "CON", "con.x", "x.", ".y", "aux", "a.yaml", "a.json", "README", "Ab", "aB", "_z"]
)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join).filter(lambda name: name[0].isalnum() and name != ".")
CONFIGS = st.dictionaries(
    st.sampled_from(["port", "$schema", "", "no", "a/b", "~"]),
    st.integers(-5, 5)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
    | st.sampled_from(["no", "1e3", "a\nb", "é", "../x.json", "https://example.com/x", "[", "# x"]),
    max_size=4,
)
ITEMS = st.dictionaries(
    st.tuples(st.sampled_from(["shop", "Shop", "NUL", "pay."]), NAMES),
    st.tuples(CONFIGS, st.sampled_from([None, "web@2", "web@1", "base@1"]), st.sampled_from(["", "why: because\n"])),
    max_size=8,
)


def exported(items: Mapping[tuple[str, str], tuple[Any, str | None, str]]) -> Export:
    found = [one(name, config, pin, text, application) for (application, name), (config, pin, text) in items.items()]
    return export_of(*found)


@settings(max_examples=20)
@given(ITEMS.filter(bool), ITEMS.filter(bool), st.sampled_from(Ending))
def test_a_tree_says_what_was_exported_and_a_second_run_changes_no_byte(
    first: Mapping[Any, Any], second: Mapping[Any, Any], ending: Ending
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for items in (first, second):
            export = exported(items)
            written(directory, export, ending, prune=True)
            tree = read_tree(directory)
            schemas = {name: tree.schemas[name] for name in export.schemas}
            assert_says(Tree(schemas=schemas, applications=tree.applications), export)
            before = texts(directory)
            assert written(directory, export, ending, prune=True).changed == ()
            assert texts(directory) == before


def test_an_export_has_schema_lines_comments_and_folders(tmp_path: Path) -> None:
    items = [
        one("limits", {"port": 1}, "web@2", "why"),
        one("eu/limits", {"port": 2}, "web@1"),
        one("own", {"$schema": "https://example.com/x"}, "base@1"),
    ]
    export = export_of(*items, applications={"shop": "a shop", "empty": ""})
    written(tmp_path, export)
    assert texts(tmp_path) | {"schemas/web.json": "", "schemas/base.json": ""} == {
        "schemas/web.json": "",
        "schemas/base.json": "",
        "applications/empty/_application.yaml": "{}\n",
        "applications/shop/_application.yaml": "comments: a shop\nconfigurations:\n  limits:\n    comments: why\n"
        "  eu/limits:\n    schema: web@1\n",
        "applications/shop/limits.yaml": "# yaml-language-server: $schema=../../schemas/web.json\nport: 1\n",
        "applications/shop/eu/limits.yaml": "port: 2\n",
        "applications/shop/own.yaml": "# yaml-language-server: $schema=../../schemas/base.json\n"
        '"$schema": "https://example.com/x"\n',
    }
    assert_says(read_tree(tmp_path), export)


def test_json_has_the_schema_line_as_its_first_member(tmp_path: Path) -> None:
    written(tmp_path, export_of(one("eu/limits", {"port": 1}, "web@2")), Ending.JSON)
    assert (tmp_path / "applications/shop/eu/limits.json").read_text() == (
        '{\n  "$schema": "../../../schemas/web.json",\n  "port": 1\n}\n'
    )


def test_files_that_are_there_keep_their_comments_and_their_form(tmp_path: Path) -> None:
    files = {
        "applications/shop/limits.yaml": "# ours\nport: 1 # the old port\nhost: 'a'\n",
        "applications/shop/eu.json": '{"port": 1,  "x": [1, 2]}',
        "applications/shop/_application.yaml": "# who\nbindings:\n- {principal: 'user:ann', role: viewer} # Ann\n"
        "configurations:\n  limits: {id: 01ARZ3NDEKTSV4RRFFQ69G5FAV} # once rates\n",
    }
    tree_of(tmp_path, files)
    items = [one("limits", {"port": 2, "host": "a"}, "web@2"), one("eu", {"port": 5, "x": [1, 2]}, comments="why")]
    assert len(written(tmp_path, export_of(*items)).changed) == 4
    del_schema = {path: text for path, text in texts(tmp_path).items() if not path.startswith("schemas")}
    assert del_schema == {
        "applications/shop/limits.yaml": "# yaml-language-server: $schema=../../schemas/web.json\n# ours\n"
        "port: 2 # the old port\nhost: 'a'\n",
        "applications/shop/eu.json": '{"port": 5,  "x": [1, 2]}',
        "applications/shop/_application.yaml": files["applications/shop/_application.yaml"]
        + "  eu:\n    comments: why\n",
    }


def test_files_that_are_no_longer_on_the_service_are_named_and_deleted_only_if_asked(tmp_path: Path) -> None:
    every = export_of(one("a", {}), one("eu/b", {}, comments="x"), one("c", {}, application="gone"))
    written(tmp_path, every)
    before = texts(tmp_path)
    rest = export_of(one("a", {}))
    missing = ["applications/shop/eu/b.yaml", "applications/gone/c.yaml"]
    assert [str(path) for path in written(tmp_path, rest).missing] == missing
    assert texts(tmp_path) == before
    assert [str(path) for path in written(tmp_path, rest, prune=True).missing] == missing
    assert texts(tmp_path).keys() == {"applications/shop/a.yaml", "applications/shop/_application.yaml"}
    assert not (tmp_path / "applications/gone").exists()
    assert_says(read_tree(tmp_path), rest)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([one("x" * 256, {})], "too long"),
        ([one("a", {"$schema": "../../schemas/web.json"})], "takes for its schema"),
    ],
)
def test_an_export_that_has_no_form_as_a_tree_writes_nothing(
    tmp_path: Path, items: Sequence[Exported], message: str
) -> None:
    with pytest.raises(CliError, match=message):
        written(tmp_path, export_of(one("b", {}), *items))
    assert texts(tmp_path) == {}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(150)
async def test_a_service_is_exported_as_a_tree_that_is_valid_offline(cli: Cli, application: str) -> None:
    for maximum in (5, 10):
        schema = f'{{"type": "object", "properties": {{"n": {{"maximum": {maximum}}}}}}}'
        await cli.ok("schema", "apply", application, "-f", "-", "--pinned", stdin=schema)
    pins = {"web": {"schema": application, "version": 2}, "eu/web": {"schema": application, "version": 1}, "free": None}
    items = [
        {"application": application, "name": name, "config": {"n": 1}, **({"schema": pin} if pin else {})}
        for name, pin in pins.items()
    ]
    await cli.ok("config", "import", "-f", "-", "--create-applications", "--wait", stdin=json.dumps(items))
    done = await cli.ok("config", "export", application, "--tree", "tree")
    assert done.err.endswith(": 5 files changed\n")
    tree = cli.folder / "tree"
    checked = check_tree(read_tree(tree), tree)
    assert checked == Checked(configurations=3, schemas=1, unchecked=(f"{application}/eu/web",))
    folder = tree / "applications" / application
    (folder / "web.yaml").write_text("n: 11\n")
    await cli.ok("config", "delete", f"{application}/free")
    last = await cli.ok("config", "export", application, "--tree", "tree", "--prune")
    assert last.err.startswith(f"deleted: applications/{application}/free.yaml\n")
    assert last.err.endswith(": 1 file changed\n")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.yaml")}
    assert names == {"_application.yaml", "web.yaml", "eu/web.yaml"}
    assert (folder / "web.yaml").read_text().splitlines()[-1] == "n: 1"
