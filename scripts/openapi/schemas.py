"""Messages as JSON Schemas: the components of the document."""

from collections.abc import Container, Iterable, Iterator
from typing import Any, cast

from google.longrunning.operations_proto_pb2 import operation_info
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from configapi.v1 import operation_service_pb2
from configapi.v1.batch_failure_pb2 import BatchFailure
from configsvc.api.services import SERVICES
from scripts.openapi.comments import Comments, is_text_twin, owner
from scripts.openapi.limits import Json, is_map, is_required, limits_of

PACKAGE = "configapi.v1."
# The formats of contents over gRPC; over HTTP they are JSON.
FORMAT = "configapi.v1.ContentFormat"
STATUS = cast("Descriptor", Status.DESCRIPTOR)
INT64: Json = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}

WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["30s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["comments,schema"]},
    "google.protobuf.Empty": {"type": "object", "maxProperties": 0},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
}
_SCALARS: dict[int, Json] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_INT64: INT64,
}


class Schemas:
    """The schemas of messages, as they are needed: `components` has those that something refers to."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.components: dict[str, Json] = {}
        self._answered = frozenset(_answered())
        self._held = _held_by_any()

    def message(self, message: Descriptor) -> Json:
        """Return the schema of a message, or a reference to it."""
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        name = name_of(message)
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self.object(message, ())
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, message: Descriptor, left_out: Container[str]) -> Json:
        """Return the schema of a message without some of its fields."""
        fields = [field for field in message.fields if _is_shown(field) and field.name not in left_out]
        return {
            "type": "object",
            "description": self._comments.of(message.full_name),
            "properties": {field.name: self._property(field) for field in fields},
            **_listed("required", (field.name for field in fields if self._is_required(field))),
            **self._alternatives(message, left_out),
            # A later server may answer with more.
            **({} if message.full_name in self._answered else {"additionalProperties": False}),
        }

    def parameter(self, field: FieldDescriptor) -> Json:
        """Return the schema of a field as a parameter."""
        return {**self._kind(field), **limits_of(field, self._comments)}

    def _property(self, field: FieldDescriptor) -> Json:
        return {"description": self._comments.of_field(field), **self.parameter(field)}

    def _is_required(self, field: FieldDescriptor) -> bool:
        group = field.containing_oneof
        if "minItems" in limits_of(field, self._comments):
            return True
        if group is None or len(group.fields) == 1:
            return is_required(self._comments.of_field(field))
        comment = self._comments.of(_name_of_group(group))
        return len(_shown(group)) == 1 and (is_required(comment) or "Exactly one is set" in comment)

    def _alternatives(self, message: Descriptor, left_out: Container[str]) -> Json:
        """Return the alternatives of which exactly one is set, if there is one such oneof."""
        for group in message.oneofs:
            fields = _shown(group)
            is_meant = "Exactly one is set" in self._comments.of(_name_of_group(group))
            if is_meant and len(fields) > 1 and not any(field.name in left_out for field in fields):
                return {"oneOf": [{"required": [field.name]} for field in fields]}
        return {}

    def _kind(self, field: FieldDescriptor) -> Json:
        if is_map(field):
            entry = cast("Descriptor", field.message_type)
            return {"type": "object", "additionalProperties": self._value(entry.fields_by_name["value"])}
        return {"type": "array", "items": self._value(field)} if field.is_repeated else self._value(field)

    def _value(self, field: FieldDescriptor) -> Json:
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Any":
            return self._any(field)
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.cpp_type])

    def _any(self, field: FieldDescriptor) -> Json:
        held = [self._wrapped(message) for message in self._held[field.full_name]]
        return held[0] if len(held) == 1 else {"anyOf": held}

    def _wrapped(self, message: Descriptor) -> Json:
        """Return a reference to the schema of a message in a google.protobuf.Any, which has its type as a member."""
        name = name_of(message)
        if name not in self.components:
            found = self.object(message, ())
            type_url: Json = {"type": "string", "const": f"type.googleapis.com/{message.full_name}"}
            found["properties"] = {"@type": type_url, **found["properties"]}
            found["required"] = ["@type"]
            self.components[name] = found
        return {"$ref": f"#/components/schemas/{name}"}

    def _enum(self, enum: EnumDescriptor) -> Json:
        name = name_of(enum)
        if name not in self.components:
            lines = [
                f"- `{value.name}`: {self._comments.of(f'{enum.full_name}.{value.name}')}" for value in enum.values
            ]
            self.components[name] = {
                "type": "string",
                "description": f"{self._comments.of(enum.full_name)}\n\n" + "\n".join(lines),
                "enum": [value.name for value in enum.values],
            }
        return {"$ref": f"#/components/schemas/{name}"}


def name_of(element: Descriptor | EnumDescriptor) -> str:
    """Return the name of a message or an enum in the document."""
    return element.full_name.removeprefix(PACKAGE).removeprefix("google.longrunning.").removeprefix("google.rpc.")


def is_content_format(field: FieldDescriptor) -> bool:
    """Return whether the field chooses the form of contents, which is always JSON over HTTP."""
    return field.enum_type is not None and field.enum_type.full_name == FORMAT


def _is_shown(field: FieldDescriptor) -> bool:
    return not is_text_twin(field) and not is_content_format(field)


def _shown(group: OneofDescriptor) -> list[FieldDescriptor]:
    return [field for field in group.fields if _is_shown(field)]


def _name_of_group(group: OneofDescriptor) -> str:
    return f"{owner(group.fields[0]).full_name}.{group.name}"


def _listed(key: str, names: Iterable[str]) -> Json:
    found = list(names)
    return {key: found} if found else {}


def _held_by_any() -> dict[str, list[Descriptor]]:
    """Return the messages that each google.protobuf.Any can hold."""
    details = (ErrorInfo, BadRequest, PreconditionFailure, QuotaFailure, ResourceInfo, RetryInfo, BatchFailure)
    metadata, responses = _of_operations()
    return {
        "google.rpc.Status.details": [cast("Descriptor", detail.DESCRIPTOR) for detail in details],
        "google.longrunning.Operation.metadata": metadata,
        "google.longrunning.Operation.response": responses,
    }


def _of_operations() -> tuple[list[Descriptor], list[Descriptor]]:
    """Return the metadata and the responses of operations, as methods declare them."""
    types = operation_service_pb2.DESCRIPTOR.message_types_by_name
    declared: list[Any] = [
        cast("Any", method.GetOptions()).Extensions[operation_info]
        for service in SERVICES
        for method in service.methods
    ]
    infos = [info for info in declared if info.response_type]
    return _unique(types[info.metadata_type] for info in infos), _unique(types[info.response_type] for info in infos)


def _unique(messages: Iterable[Descriptor]) -> list[Descriptor]:
    return list({message.full_name: message for message in messages}.values())


def _answered() -> Iterator[str]:
    """Yield the messages that answers contain."""
    pending = [method.output_type for service in SERVICES for method in service.methods]
    pending += [STATUS, *(message for held in _held_by_any().values() for message in held)]
    seen: set[str] = set()
    while pending:
        message = pending.pop()
        if message.full_name not in seen:
            seen.add(message.full_name)
            pending += [field.message_type for field in message.fields if field.message_type is not None]
    yield from seen
