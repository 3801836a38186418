"""Checks of a tree without a service, by the code of the service: the verdicts are the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from configsvc.cli.documents import Json, compact_json
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.sync.files import Faults, read_document
from configsvc.cli.sync.tree import ConfigurationFile, Pin, SchemaFile, Tree

if TYPE_CHECKING:
    from configsvc.domain.content import JsonObject
    from configsvc.domain.jsonschema.compiled import CompiledSchemas
    from configsvc.domain.models import SchemaVersionRef
    from configsvc.domain.schema_versions import NewDocument

Found = tuple[str, str]


class ToolsMissingError(CliError):
    """The lack of packages that checks need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A tree without faults. unchecked: the configurations whose schema, or one that it refers to, is not in the tree,
    or is there in the newest version alone.
    """

    configurations: int
    schemas: int
    unchecked: tuple[str, ...]


def check_tree(tree: Tree, directory: Path) -> Checked:
    """Check every schema, and every configuration with a schema of the tree. Raises CliError with every fault.

    Schemas are taken as they are written, as they are stored.
    """
    _require_tools()
    checking = _Checking(tree, directory)
    checking.run()
    checking.faults.check(directory)
    configurations = sum(len(folder.configurations) for folder in tree.applications.values())
    return Checked(configurations=configurations, schemas=len(tree.schemas), unchecked=tuple(checking.unchecked))


def _require_tools() -> None:
    """Import what checks need, which the plain package does not install. Raises CliError."""
    try:
        import_module("configsvc.domain.jsonschema.explanation")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("configsvc"):
            raise
        raise ToolsMissingError(
            f"a tree cannot be checked: the package {error.name} is not installed",
            ExitCode.ERROR,
            hint="pip install 'configsvc[tools]'",
        ) from None


class _Checking:
    def __init__(self, tree: Tree, directory: Path) -> None:
        self.faults = Faults()
        self.unchecked: list[str] = []
        self._tree = tree
        self._directory = directory
        self._documents: dict[str, NewDocument] = {}
        self._compiled: dict[str, CompiledSchemas | None] = {}

    def run(self) -> None:
        for schema in self._tree.schemas.values():
            self._check_schema(schema)
        for schema, document in self._documents.items():
            if document.references:
                self._validator(schema)
        for folder in self._tree.applications.values():
            for configuration in folder.configurations.values():
                self._check_configuration(configuration)

    def _check_schema(self, schema: SchemaFile) -> None:
        document, found = _new_document(schema.document)
        self._add(schema.path, found)
        if document is not None:
            self._documents[schema.name] = document

    def _validator(self, schema: str) -> "CompiledSchemas | None":
        """Return the compiled schema; None if it has a fault, or refers to one that is not in the tree."""
        if schema in self._documents and schema not in self._compiled:
            self._compiled[schema] = self._compile(schema)
        return self._compiled.get(schema)

    def _compile(self, schema: str) -> "CompiledSchemas | None":
        # Not a Validator, which also computes the work that a service has to limit.
        from configsvc.domain.jsonschema.compiled import CompiledSchemas  # noqa: PLC0415
        from configsvc.domain.jsonschema.linked import UnusableSchemaError  # noqa: PLC0415

        referenced = self._referenced(schema)
        if referenced is None:
            return None
        try:
            return CompiledSchemas(self._documents[schema].document, referenced)
        except UnusableSchemaError as error:
            self._add(self._tree.schemas[schema].path, [(error.pointer, error.message)])
            return None

    def _referenced(self, schema: str) -> "dict[SchemaVersionRef, JsonObject] | None":
        """Return the documents that a schema refers to, directly or not. The file of a schema stands for each of its
        versions; None if there is no such file.
        """
        waiting = list(self._documents[schema].references)
        found: dict[SchemaVersionRef, JsonObject] = {}
        while waiting:
            ref = waiting.pop()
            if ref.schema not in self._documents:
                return None
            if ref not in found:
                found[ref] = self._documents[ref.schema].document
                waiting += self._documents[ref.schema].references
        return found

    def _check_configuration(self, configuration: ConfigurationFile) -> None:
        content, found = _content(configuration.config)
        pin = configuration.schema
        if not found and isinstance(pin, Pin):
            compiled = self._validator(pin.schema) if pin.version is None else None
            if compiled is not None:
                found = _violations(compiled, content)
            elif pin.version is not None or pin.schema not in self._tree.schemas or pin.schema in self._documents:
                self.unchecked.append(f"{configuration.application}/{configuration.name}")
        self._add(configuration.path, found)

    def _add(self, path: PurePosixPath, found: list[Found]) -> None:
        """Add faults with their places in the file, which is read again: few have any."""
        if not found:
            return
        try:
            document = read_document(self._directory, path)
        except CliError as error:
            self.faults.extend(error)
            return
        for pointer, message in found:
            parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
            self.faults.found.append(document.fault(parts, message))


def _violations(compiled: "CompiledSchemas", content: "JsonObject") -> list[Found]:
    from configsvc.domain.jsonschema.explanation import Explanation  # noqa: PLC0415

    if compiled.compiled.is_valid(content):
        return []
    return [(fault.pointer, fault.message) for fault in Explanation(compiled).faults(content)]


def _new_document(document: Json) -> "tuple[NewDocument | None, list[Found]]":
    """Return a document as the service stores it, or its faults."""
    from configsvc.domain.errors import Violations  # noqa: PLC0415
    from configsvc.domain.json_text import content_from_text  # noqa: PLC0415
    from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES, new_document  # noqa: PLC0415

    violations = Violations()
    content = content_from_text(
        compact_json(document), "", violations, limit_bytes=MAX_DOCUMENT_BYTES, wide_numbers=True
    )
    new = None if violations else new_document(content, "", close=False, violations=violations)
    return new, list(_found(violations, ""))


def _content(config: Json) -> "tuple[JsonObject, list[Found]]":
    """Return a content as the service stores it, and its faults."""
    from configsvc.domain.content import MAX_CONTENT_BYTES, check_storable, encode_json  # noqa: PLC0415
    from configsvc.domain.errors import InvalidRequestError, Violations  # noqa: PLC0415
    from configsvc.domain.json_text import content_from_text  # noqa: PLC0415

    violations = Violations()
    text = compact_json(config)
    content = content_from_text(text, "config", violations, limit_bytes=MAX_CONTENT_BYTES, wide_numbers=False)
    if not violations:
        try:
            check_storable(content, encode_json(content))
        except InvalidRequestError as error:
            for violation in error.violations:
                violations.add(violation.field, violation.description)
    return content, list(_found(violations, "config"))


def _found(violations: Any, field: str) -> Iterator[Found]:
    for violation in violations.found:
        yield violation.field.removeprefix(field), violation.description
