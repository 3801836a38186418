"""Write the OpenAPI document of the HTTP door, from the descriptors of the contract: scripts/openapi.py FILE."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc.status_pb2 import Status

from configsvc.api.services import SERVICES
from configsvc.web.messages import TEXT_SUFFIX
from configsvc.web.routes import Route, Routes

DESCRIPTORS = Path(__file__).parents[1] / "generated/configapi/descriptors.binpb"
Json = dict[str, Any]

WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["30s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["comments,schema"]},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
        "additionalProperties": True,
    },
}
SCALARS: dict[int, Json] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_INT64: {"type": ["string", "integer"], "format": "int64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
}


class Comments:
    """The comments of the protos, by full name."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._texts: dict[str, str] = {}
        for file in files:
            self._read(file)

    def of(self, full_name: str) -> str:
        """Return the comment of an element as one text."""
        return self._texts.get(full_name, "")

    def _read(self, file: FileDescriptorProto) -> None:
        for location in file.source_code_info.location:
            if location.leading_comments:
                name = _name_at(file, list(location.path))
                if name:
                    self._texts[f"{file.package}.{name}"] = _flowing(location.leading_comments)


def _name_at(file: FileDescriptorProto, path: list[int]) -> str:
    """Return the name of the element at a path of source_code_info; empty for one without a name."""
    element: Any = file
    names: list[str] = []
    while path:
        field = element.DESCRIPTOR.fields_by_number[path.pop(0)]
        if not field.is_repeated or not path:
            return ""
        element = getattr(element, field.name)[path.pop(0)]
        if not hasattr(element, "name"):
            return ""
        names.append(element.name)
    return ".".join(names)


def _flowing(comment: str) -> str:
    lines = [line.strip() for line in comment.strip().splitlines() if not line.strip().startswith("buf:lint")]
    return " ".join(lines)


class Document:
    """The OpenAPI document as it grows: schemas are added when something refers to them."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.schemas: dict[str, Json] = {}

    def operation(self, route: Route, number: int) -> Json:
        """Return the operation of a route. `number` tells the routes of one method apart."""
        method = route.method
        comment = self._comments.of(method.full_name)
        operation: Json = {
            "operationId": method.name if not number else f"{method.name}{number + 1}",
            "tags": [method.containing_service.name],
            "summary": re.split(r"(?<=[.:]) ", comment, maxsplit=1)[0],
            "description": comment,
            "parameters": list(self._parameters(route)),
            "responses": {"200": self._response(route), "default": self._error()},
        }
        if route.body:
            operation["requestBody"] = {"required": True, "content": self._body(route)}
        return operation

    def _parameters(self, route: Route) -> Iterator[Json]:
        for name in route.template.fields:
            field = _field_at(route.method.input_type, name)
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "schema": self._value(field),
                "description": self._comments.of(field.full_name),
            }
        if route.body != "*":
            taken = {*route.template.fields, route.body, *_excluded(route)}
            yield from self._query(route.method.input_type, "", taken, 0)

    def _query(self, message: Descriptor, path: str, taken: set[str], depth: int) -> Iterator[Json]:
        for field in message.fields:
            name = f"{path}{field.name}"
            if name in taken or _is_text_twin(field) or _is_map(field) or name == "format":
                continue
            inner = field.message_type
            if inner is None or inner.full_name in (
                "google.protobuf.Timestamp",
                "google.protobuf.Duration",
                "google.protobuf.FieldMask",
            ):
                yield {
                    "name": name,
                    "in": "query",
                    "schema": self._schema_of(field),
                    "description": self._comments.of(field.full_name),
                }
            elif not field.is_repeated and not inner.full_name.startswith("google.") and depth < 3:
                yield from self._query(inner, f"{name}.", taken, depth + 1)

    def _body(self, route: Route) -> Json:
        if route.verb == "PUT":
            return {"application/json": {"schema": {"type": "object"}}}
        if route.body == "merge_patch":
            return {
                "application/merge-patch+json": {"schema": {"type": "object"}},
                "application/json-patch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
            }
        if route.method.client_streaming:
            return {"application/x-ndjson": {"schema": self._message(route.method.input_type)}}
        if route.body == "*":
            return {"application/json": {"schema": self._message(route.method.input_type)}}
        return {"application/json": {"schema": self._value(route.method.input_type.fields_by_name[route.body])}}

    def _response(self, route: Route) -> Json:
        output = route.method.output_type
        schema = (
            self._value(output.fields_by_name[route.response_body]) if route.response_body else self._message(output)
        )
        content_type = "application/json"
        if route.method.server_streaming:
            content_type = "text/event-stream" if route.method.name == "WatchConfigurations" else "application/x-ndjson"
        return {"description": "OK", "content": {content_type: {"schema": schema}}}

    def _error(self) -> Json:
        return {
            "description": "An error: see docs/reference/errors.md.",
            "content": {"application/json": {"schema": self._message(cast("Descriptor", Status.DESCRIPTOR))}},
        }

    def _message(self, message: Descriptor) -> Json:
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        name = message.full_name.removeprefix("configapi.v1.")
        if name not in self.schemas:
            self.schemas[name] = {}
            properties = {
                field.name: {"description": self._described(field), **self._schema_of(field)}
                for field in message.fields
                if not _is_text_twin(field)
            }
            self.schemas[name] = {
                "type": "object",
                "description": self._comments.of(message.full_name),
                "properties": properties,
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _described(self, field: FieldDescriptor) -> str:
        """Return the comment of a field; of a content in two forms, that of their oneof."""
        group = field.containing_oneof
        twin = f"{field.name}{TEXT_SUFFIX}" in _owner(field).fields_by_name
        if group is not None and twin and len(group.fields) == 2:
            return self._comments.of(f"{_owner(field).full_name}.{group.name}")
        return self._comments.of(field.full_name)

    def _enum(self, enum: EnumDescriptor) -> Json:
        name = enum.full_name.removeprefix("configapi.v1.")
        if name not in self.schemas:
            lines = [f"- {value.name}: {self._comments.of(f'{enum.full_name}.{value.name}')}" for value in enum.values]
            self.schemas[name] = {
                "type": "string",
                "description": "\n".join((self._comments.of(enum.full_name), *lines)),
                "enum": [value.name for value in enum.values],
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _schema_of(self, field: FieldDescriptor) -> Json:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._value(entry.fields_by_name["value"])}
        return {"type": "array", "items": self._value(field)} if field.is_repeated else self._value(field)

    def _value(self, field: FieldDescriptor) -> Json:
        if field.message_type is not None:
            return self._message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "format": "byte"}
        return dict(SCALARS[field.cpp_type])


def _excluded(route: Route) -> Iterator[str]:
    """Yield the fields that cannot be set beside those of the path, as they are in one oneof with them."""
    for name in route.template.fields:
        field = _field_at(route.method.input_type, name.partition(".")[0])
        if field.containing_oneof:
            yield from (other.name for other in field.containing_oneof.fields)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _owner(field: FieldDescriptor) -> Descriptor:
    return cast("Descriptor", field.containing_type)


def _is_text_twin(field: FieldDescriptor) -> bool:
    plain = field.name.removesuffix(TEXT_SUFFIX)
    return plain != field.name and plain in _owner(field).fields_by_name


def _field_at(message: Descriptor, name: str) -> FieldDescriptor:
    *above, last = name.split(".")
    for part in above:
        inner = message.fields_by_name[part].message_type
        assert inner is not None
        message = inner
    return message.fields_by_name[last]


def main() -> None:
    """Write the document."""
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    document = Document(Comments(files))
    paths: dict[str, Json] = {}
    numbers: dict[MethodDescriptor, int] = {}
    for route in Routes(SERVICES).all:
        number = numbers[route.method] = numbers.get(route.method, -1) + 1
        path = re.sub(r"\{([a-z_.]+)=operations/\*\}", r"{\1}", re.sub(r"=\*\*\}", "}", route.path))
        paths.setdefault(path, {})[route.verb.lower()] = document.operation(route, number)
    result: Json = {
        "openapi": "3.1.0",
        "info": {"title": "configsvc", "version": "v1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(document.schemas.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


main()
