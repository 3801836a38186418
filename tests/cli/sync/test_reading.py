"""Trees are read completely, or not at all: every fault is shown at once, with its place."""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc.cli.documents import compact_json, pretty_json, yaml_text
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync import reading
from configsvc.cli.sync.limits import configuration_name_fault, content_faults, name_fault, schema_faults
from configsvc.cli.sync.reading import read_tree
from configsvc.cli.sync.tree import Binding, Pin, Unpinned
from configsvc.domain.content import MAX_CONTENT_BYTES, add_reserved_members, encode_json
from configsvc.domain.errors import Violations
from configsvc.domain.json_text import content_from_text
from configsvc.domain.names import check_configuration_name, check_name
from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES
from tests.cli.sync.trees import FILES, tree_of
from tests.docs.test_guide import blocks

WEB = '{"type": "object"}'
SHOP = "applications/shop"


def test_the_files_of_the_guide_are_a_tree(tmp_path: Path) -> None:
    guide = "docs/guide/git.md"
    (json_file,) = blocks(guide, "json")
    yaml_file, settings_file, *_ = blocks(guide, "yaml")
    files = {
        "schemas/limits.json": WEB,
        "applications/payments/_application.yaml": settings_file,
        "applications/payments/limits.yaml": yaml_file,
        "applications/payments/other.json": json_file,
    }
    payments = read_tree(tree_of(tmp_path, files)).applications["payments"]
    assert payments.configurations["limits"].schema == Pin(schema="limits", version=3)
    assert payments.configurations["other"].config == {"max": 100}
    assert payments.bindings == (Binding(principal="group:payments", role="editor"),)


def faults_of(directory: Path) -> list[str]:
    with pytest.raises(CliError) as refused:
        read_tree(directory)
    assert refused.value.code is ExitCode.INVALID
    return refused.value.details


def faults_in(directory: Path, files: FILES) -> list[str]:
    return faults_of(tree_of(directory, files))


def test_a_tree_is_read(tmp_path: Path) -> None:
    files = {
        "README.md": "not ours",
        "src/main.py": "not ours",
        "schemas/web.json": WEB,
        "schemas/README": "ours",
        "applications/empty/_application.yaml": "{}",
        f"{SHOP}/_application.yaml": "comments: a shop\nbindings: [{principal: 'user:ann', role: editor}]\n"
        "configurations:\n  eu/web: {schema: web@3, comments: why, id: 01ARZ3NDEKTSV4RRFFQ69G5FAV}\n"
        "  free: {schema: null}\n",
        f"{SHOP}/web.json": '{"$schema": "../../schemas/web.json", "port": 1}',
        f"{SHOP}/eu/web.yaml": "# yaml-language-server: $schema=../../../schemas/web.json\nport: 2\n",
        f"{SHOP}/free.yaml": "$schema: https://example.com/web.json\n",
        f"{SHOP}/%43ON.yaml": "{}",
        f"{SHOP}/.hidden.yaml": "yes: [",
    }
    tree = read_tree(tree_of(tmp_path, files))
    assert tree.schemas["web"].document == {"type": "object"}
    assert tree.applications.keys() == {"empty", "shop"}
    shop = tree.applications["shop"]
    assert (shop.comments, shop.bindings) == ("a shop", (Binding(principal="user:ann", role="editor"),))
    found = {name: (one.config, one.schema, one.comments, one.id) for name, one in shop.configurations.items()}
    assert found == {
        "web": ({"port": 1}, Pin(schema="web"), None, None),
        "eu/web": ({"port": 2}, Pin(schema="web", version=3), "why", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        "free": ({"$schema": "https://example.com/web.json"}, Unpinned(), None, None),
        "CON": ({}, None, None, None),
    }
    assert str(shop.configurations["eu/web"].path) == "applications/shop/eu/web.yaml"


def test_an_empty_file_is_named_once(tmp_path: Path) -> None:
    tree_of(tmp_path, {f"{SHOP}/web.yaml": "# nothing\n", f"{SHOP}/web2.json": ""})
    assert faults_of(tmp_path) == [f"{SHOP}/web.yaml:1:1: is empty", f"{SHOP}/web2.json:1:1: is empty"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has neither a folder schemas nor a folder applications"),
        ({"limits.yaml": "a: 1"}, "has neither a folder schemas nor a folder applications"),
        ({"applications/.keep": ""}, "is an empty tree"),
        ({"applications": "a file"}, "is no folder"),
    ],
)
def test_a_folder_that_is_no_tree_or_an_empty_one_is_refused(tmp_path: Path, files: FILES, message: str) -> None:
    with pytest.raises(CliError, match=message) as refused:
        read_tree(tree_of(tmp_path, files))
    assert refused.value.code is ExitCode.INVALID
    with pytest.raises(CliError, match="No such file"):
        read_tree(tmp_path / "missing")


def test_all_faults_of_all_files_are_shown_at_once_with_their_places(tmp_path: Path) -> None:
    files = {
        f"{SHOP}/a.yaml": "when: 2001-12-14\nb: [017, .inf, yes]\nb: 1\n",
        f"{SHOP}/b.yaml": "a: &x [1]\nb: *x\nc: !tag 2\n<<: {d: 1}\n",
        f"{SHOP}/c.json": '{"a": 1,\n "b": {"a": 1, "a": NaN}}',
        f"{SHOP}/d.yaml": "a: 9007199254740993\n$configsvc: 1\n",
        f"{SHOP}/e.yaml": "[1, 2]",
    }
    found = [fault.partition(": ")[0] for fault in faults_in(tmp_path, files)]
    assert found == [
        *(f"{SHOP}/a.yaml:{place}" for place in ("1:7", "2:5", "2:10", "2:16", "3:1")),
        *(f"{SHOP}/b.yaml:{place}" for place in ("1:4", "2:4", "3:4")),
        f"{SHOP}/c.json:2:21",
        *(f"{SHOP}/d.yaml:{place}" for place in ("1:1", "2:1")),
        f"{SHOP}/e.yaml:1:1",
    ]


def test_a_billion_laughs_are_refused_and_never_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [ha, ha]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    assert len(faults_in(tmp_path, {f"{SHOP}/a.yaml": "\n".join(lines)})) == 100


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("schemas/a.yaml", WEB, "must end in .json"),
        ("schemas/eu/a.json", WEB, "is in a folder"),
        ("schemas/a b.json", WEB, "the name a b is no valid name"),
        ("schemas/a.json", "[]", "must be an object"),
        ("applications/a.yaml", "{}", "must be in the folder of an application"),
        ("applications/-a/b.yaml", "{}", "the name -a is no valid name"),
        (f"{SHOP}/a.yml", "{}", "must end in .yaml: rename it"),
        (f"{SHOP}/a.toml", "", "must end in .yaml or .json"),
        (f"{SHOP}/_application.json", "{}", "must be _application.yaml"),
        (f"{SHOP}/_a.yaml", "{}", "the name _a is no valid name"),
        (f"{SHOP}/a%zz.yaml", "{}", "has a % without two hexadecimal digits"),
        (f"{SHOP}/a.yaml", "", "1:1: "),
        (f"{SHOP}/a.json", "a: 1", "1:1: must be a JSON object"),
        (f"{SHOP}/a.json", '{"a": 1e99999999999999999999}', "1:7: the exponent"),
        (f"{SHOP}/a.yaml", "a: 'x\x07'", "1:6: the character U+0007 must be escaped"),
        (f"{SHOP}/a.yaml", "a: 0.10000000000000000001", "1:1: /a: is the number 0.10000000000000000001"),
        (f"{SHOP}/a.yaml", "a: 1e400", "1:1: /a: is 1E+400, and a double is not exact"),
        (f"{SHOP}/a.yaml", "{" + "a: {" * 32 + "}" * 33, "is nested too deep"),
        (f"{SHOP}/a.yaml", "a: " + "x" * 262140, "bytes as compact JSON: at most 262144"),
        (f"{SHOP}/a.yaml", 'a: "\\0"', "1:1: /a: must not contain the character U+0000"),
        (
            f"{SHOP}/a.yaml",
            "\n$schema: ../web.json",
            "2:1: $schema leads to ../web.json, which is no schemas/NAME.json",
        ),
        (f"{SHOP}/a.yaml", "# yaml-language-server: $schema=../../schemas/x.json\na: 1", "1:33: $schema leads to"),
        (f"{SHOP}/_application.yaml", "comment: x", "1:1: /comment: is unknown here"),
        (f"{SHOP}/_application.yaml", "comments: 1", "1:1: /comments: must be a text"),
        (f"{SHOP}/_application.yaml", "bindings: {}", "1:1: /bindings: must be a list"),
        (
            f"{SHOP}/_application.yaml",
            "bindings:\n- {principal: ann, role: viewer}",
            "2:4: /bindings/0/principal: must",
        ),
        (f"{SHOP}/_application.yaml", "bindings:\n- {principal: 'user:a', role: x}", "2:25: /bindings/0/role: must"),
        (f"{SHOP}/_application.yaml", "configurations: {a: {}}", "1:18: /configurations/a: there is no file"),
    ],
)
def test_a_fault_is_named_with_its_place_and_says_what_to_do(tmp_path: Path, path: str, text: str, fault: str) -> None:
    (found,) = faults_in(tmp_path, {f"{SHOP}/ok.yaml": "{}", path: text})
    assert found.startswith((f"{path}:", f"{Path(path).parent}: "))
    assert fault in found


def test_two_files_for_one_name_are_refused_and_so_are_names_that_differ_in_capitals(tmp_path: Path) -> None:
    files = {f"{SHOP}/a.yaml": "{}", f"{SHOP}/a.json": "{}", f"{SHOP}/EU/x.yaml": "{}", f"{SHOP}/eu/y.yaml": "{}"}
    twin, same = faults_in(tmp_path, files)
    assert twin.startswith("applications/shop/eu: differs from applications/shop/EU in capital letters alone")
    assert same == "applications/shop/a.yaml: has the same name as applications/shop/a.json: keep one of them"


@pytest.mark.parametrize(
    ("entry", "line", "agrees"),
    [
        ("web", "web", True),
        ("web@3", "web", True),
        ("other", "web", False),
        ("null", "web", False),
    ],
)
def test_the_schema_line_and_the_settings_must_agree(tmp_path: Path, entry: str, line: str, agrees: bool) -> None:
    files = {
        "schemas/web.json": WEB,
        f"{SHOP}/_application.yaml": f"configurations: {{a: {{schema: {entry}}}}}",
        f"{SHOP}/a.json": f'{{\n"$schema": "../../schemas/{line}.json"}}',
    }
    if agrees:
        name, _, version = entry.partition("@")
        pin = Pin(schema=name, version=int(version) if version else None)
        found = read_tree(tree_of(tmp_path, files)).applications["shop"].configurations["a"]
        assert (found.schema, found.config) == (pin, {})
    else:
        (fault,) = faults_in(tmp_path, files)
        assert fault.startswith(f"{SHOP}/a.json:2:1: $schema leads to the schema web, but elsewhere the tree says ")


def test_a_schema_line_of_others_is_content_where_the_settings_name_the_schema(tmp_path: Path) -> None:
    files = {
        "schemas/web.json": WEB,
        f"{SHOP}/_application.yaml": "configurations: {a: {schema: web}}",
        f"{SHOP}/a.json": '{"$schema": "./other.json"}',
    }
    found = read_tree(tree_of(tmp_path, files)).applications["shop"].configurations["a"]
    assert (found.schema, found.config) == (Pin(schema="web"), {"$schema": "./other.json"})


def test_links_within_the_tree_are_followed_and_no_others(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("a: 1")
    tree = tree_of(tmp_path / "tree", {f"{SHOP}/a.yaml": "a: 1", f"{SHOP}/eu/b.yaml": "b: 1"})
    (tree / SHOP / "b.yaml").symlink_to("a.yaml")
    assert read_tree(tree).applications["shop"].configurations["b"].config == {"a": 1}
    (tree / SHOP / "c.yaml").symlink_to(outside)
    (tree / SHOP / "d.yaml").symlink_to("missing.yaml")
    (tree / SHOP / "e").symlink_to("eu")
    (tree / SHOP / "f").symlink_to("..")
    os.mkfifo(tree / SHOP / "g.yaml")
    assert [fault.partition(": ")[2].split(":")[0] for fault in faults_of(tree)] == [
        "is a link that leaves the tree",
        "cannot be read",
        "is a link to a folder",
        "is a link to a folder",
        "is no regular file",
    ]


def test_an_application_without_files_and_a_file_that_is_not_utf_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "applications/gone").mkdir(parents=True)
    (tree_of(tmp_path, {f"{SHOP}/a.yaml": ""}) / SHOP / "a.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    empty, bytes_ = faults_of(tmp_path)
    assert empty.startswith("applications/gone: is empty: remove it, or write _application.yaml")
    assert bytes_ == "applications/shop/a.yaml:2:4: is not UTF-8"


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / SHOP / "b.yaml").unlink(),
        lambda tree: (tree / SHOP / "b.yaml").write_text("b: 3"),
        lambda tree: (tree / SHOP / "c.yaml").write_text("{}"),
        lambda tree: (tree / "applications/new").mkdir(),
        lambda tree: (tree / SHOP).rename(tree / "applications/other"),
    ],
)
def test_a_tree_that_changes_while_it_is_read_is_never_half_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], Any]
) -> None:
    tree = tree_of(tmp_path, {f"{SHOP}/a.yaml": "{}", f"{SHOP}/b.yaml": "{}"})
    read = reading.read_document

    def changing(directory: Path, path: Any) -> Any:
        found = read(directory, path)
        if path.name == "a.yaml":
            change(tree)
        return found

    monkeypatch.setattr(reading, "read_document", changing)
    faults = faults_of(tree)
    assert any("changed while the tree was read" in fault for fault in faults)


NUMBERS = st.integers(-(2**53 - 1), 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False, width=64).filter(
    lambda number: not number.is_integer()
).map(lambda number: Decimal(repr(number)))
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["no", "1e3", "017", "2001-12-14", "~", "<<", "a\nb\n", " x", "x ", "é", "\U0001f600", "", "*a", "&a", "!t"]
)
CONTENTS = st.dictionaries(
    TEXTS.filter(lambda name: not name.startswith("$")),
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=30)
@given(CONTENTS)
def test_what_is_read_is_exactly_what_was_written(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    tree = tmp_path_factory.mktemp("tree")
    tree_of(tree, {f"{SHOP}/y.yaml": yaml_text(content), f"{SHOP}/j.json": pretty_json(content)})
    found = read_tree(tree).applications["shop"].configurations
    for name in "yj":
        assert compact_json(found[name].config) == compact_json(content)


ANY = st.dictionaries(
    st.text(max_size=3) | st.sampled_from(["$configsvc", "$configsvcx", "\0"]),
    st.recursive(
        st.none()
        | st.text(max_size=3)
        | st.integers(-(10**1001), 10**1001)
        | st.sampled_from([2**53, 2**53 - 1, -(2**53), 10**999, -(10**999), 10**1000])
        | st.decimals(allow_nan=False, allow_infinity=False)
        | st.sampled_from(list(map(Decimal, ["1e3", "0.1", "1e-400", "1e1000", "1e1001", "0e5000", "5e-324", "1.50"]))),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "$configsvc"]), inner),
        max_leaves=4,
    ),
    max_size=3,
)


@given(ANY)
def test_contents_and_documents_are_refused_as_the_service_refuses_them(value: Any) -> None:
    found = Violations()
    text = compact_json(value)
    content = content_from_text(text, "", found, limit_bytes=MAX_CONTENT_BYTES, wide_numbers=False)
    if not found:
        add_reserved_members(content, encode_json(content), "", found)
    assert bool(list(content_faults(value))) is bool(found)
    wide = Violations()
    content_from_text(text, "", wide, limit_bytes=MAX_DOCUMENT_BYTES, wide_numbers=True)
    assert bool(list(schema_faults(value))) is bool(wide)


@given(st.text(alphabet="aZ0._-/ é", max_size=6) | st.integers(250, 260).map(lambda length: "x" * length))
def test_names_are_refused_as_the_service_refuses_them(name: str) -> None:
    found, configuration = Violations(), Violations()
    check_name(name, "", found)
    check_configuration_name(name, "", configuration)
    assert (name_fault(name) is None) is not bool(found)
    assert (configuration_name_fault(name) is None) is not bool(configuration)
