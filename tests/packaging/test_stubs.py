"""The generated stubs: libraries that they run with, names that every language can have, and the descriptor set."""

import keyword
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.longrunning.operations_proto_pb2 import operation_info
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)
from google.rpc import status_pb2

import configapi
from configapi.v1.method_rules_pb2 import STABILITY_UNSPECIFIED, rules

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "generated"
THIRD_PARTY = ROOT / "third_party"
INSTALL_LIMIT_SECONDS = 120
# The lower bounds of the distribution.
OLDEST = ("grpcio==1.66.0", "protobuf==5.29.0", "googleapis-common-protos==1.66.0")
IMPORT_ALL = """
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
names = sorted(path.stem for path in pathlib.Path(sys.argv[1], "configapi", "v1").glob("*_pb2*.py"))
for name in names:
    importlib.import_module(f"configapi.v1.{name}")
from configapi.v1.configuration_pb2 import Configuration
from google.protobuf import __version__
assert Configuration.FromString(Configuration(name="limits").SerializeToString()).name == "limits"
print(len(names), __version__)
"""
# Words that a language with lower-case fields cannot use as a name. Python's are in its library.
KEYWORDS = frozenset(
    """
    alignas auto bool break case catch char class const constexpr continue default delete do double else enum explicit
    export extern false float for friend goto if inline int long mutable namespace new noexcept operator private
    protected public register return short signed sizeof static struct switch template this throw true try typedef
    typeid typename union unsigned using virtual void volatile while
    begin def defined elsif end ensure module next nil redo rescue retry self super then undef unless until when yield
    function let null super instanceof in var debugger arguments await abstract final interface package native
    func map chan fallthrough range select defer go
    """.split()  # noqa: SIM905  # a list of 90 strings is no easier to read
)


@pytest.mark.timeout(2 * INSTALL_LIMIT_SECONDS)
def test_the_stubs_run_with_the_oldest_libraries_that_the_distribution_allows(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    python = tmp_path / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *OLDEST]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False)
    if installed.returncode:
        pytest.skip(f"{', '.join(OLDEST)} cannot be installed here: {installed.stderr.strip()[-200:]}")
    imported = subprocess.run([python, "-c", IMPORT_ALL, GENERATED], capture_output=True, text=True, check=False)
    assert imported.returncode == 0, imported.stderr
    count, version = imported.stdout.split()
    assert (int(count), version) == (len(list((GENERATED / "configapi" / "v1").glob("*_pb2*.py"))), "5.29.0")


def test_the_distribution_requires_what_the_stubs_are_tested_with() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in OLDEST:
        assert f'"{requirement.replace("==", ">=").removesuffix(".0")}"' in text


def test_no_field_has_a_name_that_a_common_language_reserves() -> None:
    names = {f"{message.name}.{field.name}": field.name for message in _messages() for field in message.field}
    assert len(names) > 100
    assert not {name for name, last in names.items() if last in KEYWORDS or keyword.iskeyword(last)}


def test_every_method_says_since_when_it_exists_and_how_stable_it_is() -> None:
    for name, method in _methods():
        declared = method.options.Extensions[rules]
        assert declared.since, name
        assert declared.stability != STABILITY_UNSPECIFIED, name


# A lease is acquired and released as often as a caller likes.
REPEATABLE = {"SourceService.AcquireSourceLease", "SourceService.ReleaseSourceLease"}


def test_methods_that_change_nothing_say_so() -> None:
    with_request_id = {
        message.name for message in _messages() if "request_id" in {field.name for field in message.field}
    }
    for name, method in _methods():
        keeps_request_id = method.input_type.rpartition(".")[2] in with_request_id or name in REPEATABLE
        is_read = not keeps_request_id and not method.client_streaming
        assert (method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS) is is_read, name


def test_methods_that_begin_an_operation_name_its_result_and_metadata() -> None:
    ours = {message.name for message in _messages()}
    begun = {name: method for name, method in _methods() if method.output_type == ".google.longrunning.Operation"}
    assert len(begun) == 2
    # The package of the extension has no types.
    extension: Any = operation_info
    types = {name: method.options.Extensions[extension] for name, method in begun.items()}
    assert {info.metadata_type for info in types.values()} == {"OperationMetadata"}
    assert len({info.response_type for info in types.values()} & ours) == len(begun)


def test_no_comment_of_a_service_or_method_has_a_dollar_sign() -> None:
    """gRPC's plugins for C++, Ruby and PHP fail on it."""
    for file in _our_files():
        for location in file.source_code_info.location:
            if tuple(location.path[:1]) == (FileDescriptorProto.SERVICE_FIELD_NUMBER,):
                assert "$" not in location.leading_comments, (file.name, location.leading_comments)


def test_the_descriptor_set_has_comments_and_the_details_of_errors() -> None:
    files = {file.name: file for file in _descriptors().file}
    assert "google/rpc/error_details.proto" in files
    comments = [entry.leading_comments for entry in files["configapi/v1/configuration.proto"].source_code_info.location]
    assert any("configuration" in comment for comment in comments)
    imported = {name for file in files.values() for name in file.dependency}
    assert imported <= set(files)


def test_the_protos_of_others_are_those_of_the_installed_package() -> None:
    package = Path(status_pb2.__file__).parents[1]
    for path in sorted(THIRD_PARTY.rglob("*.proto")):
        name = path.relative_to(THIRD_PARTY / "google")
        # In the package its name differs from the one that it is imported by.
        original = package / ("longrunning/operations_proto.proto" if name.stem == "operations" else name)
        assert path.read_bytes() == original.read_bytes(), name


def _descriptors() -> FileDescriptorSet:
    (folder,) = configapi.__path__
    return FileDescriptorSet.FromString(Path(folder, "descriptors.binpb").read_bytes())


def _our_files() -> Iterator[FileDescriptorProto]:
    yield from (file for file in _descriptors().file if file.package.startswith("configapi."))


def _messages() -> Iterator[DescriptorProto]:
    waiting = [message for file in _our_files() for message in file.message_type]
    while waiting:
        message = waiting.pop()
        yield message
        waiting += message.nested_type


def _methods() -> Iterator[tuple[str, MethodDescriptorProto]]:
    for file in _our_files():
        for service in file.service:
            yield from ((f"{service.name}.{method.name}", method) for method in service.method)


def test_comments_for_the_linter_of_the_protos_are_not_documentation() -> None:
    texts = [path.read_bytes() for path in GENERATED.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert any(b"buf:lint:ignore" in path.read_bytes() for path in (ROOT / "protos").rglob("*.proto"))
    assert not any(b"buf:lint" in text for text in texts)
