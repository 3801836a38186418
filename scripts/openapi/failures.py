"""The errors of methods: which HTTP statuses a call can have, and what each means."""

import re
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.rpc.code_pb2 import Code

from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.web.errors import HTTP_STATUSES
from scripts.openapi.comments import Comments
from scripts.openapi.limits import Json
from scripts.openapi.schemas import STATUS, Schemas

REASON = "configapi.v1.ErrorReason.ERROR_REASON_"
NAMES = {
    400: "BadRequest",
    401: "Unauthenticated",
    403: "PermissionDenied",
    404: "NotFound",
    409: "Conflict",
    429: "ResourceExhausted",
    500: "Internal",
    503: "Unavailable",
}
# Any call can have these; their comments do not repeat it.
ALWAYS = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
        Code.RESOURCE_EXHAUSTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
    }
)
# A commit can lose against another one, and a request_id can belong to another request.
OF_CHANGES = frozenset({Code.ABORTED, Code.FAILED_PRECONDITION})
# The comments of google.longrunning tell nothing of this service.
OF_OPERATIONS: dict[str, frozenset[Code.ValueType]] = {
    "ListOperations": frozenset(),
    "GetOperation": frozenset({Code.NOT_FOUND}),
    "DeleteOperation": frozenset({Code.NOT_FOUND, Code.FAILED_PRECONDITION}),
    "CancelOperation": frozenset({Code.NOT_FOUND}),
    "WaitOperation": frozenset({Code.NOT_FOUND}),
}
# An operation has these as its own error: no call does.
_NEVER_OF_CALLS = frozenset({"ITEMS_FAILED", "OPERATION_CANCELLED", "ATTEMPTS_EXHAUSTED"})
_CODE = re.compile(r"\b(" + "|".join(Code.Name(code) for code in HTTP_STATUSES) + r")\b")


def codes_of(method: MethodDescriptor, comments: Comments) -> frozenset[Code.ValueType]:
    """Return the codes that calls of the method can end with, as the contract's comments state them."""
    if method.name in OF_OPERATIONS:
        return ALWAYS | OF_OPERATIONS[method.name]
    texts = (comments.of(method.full_name), *_texts(method.input_type, comments, set()))
    stated = frozenset(Code.Value(name) for text in texts for name in _CODE.findall(text))
    is_change = "request_id" in method.input_type.fields_by_name
    return ALWAYS | stated | OF_CHANGES if is_change else ALWAYS | stated


def responses_of(codes: Iterable[Code.ValueType]) -> Json:
    """Return the answers of an operation that fails."""
    statuses = sorted({HTTP_STATUSES[code] for code in codes})
    return {str(status): {"$ref": f"#/components/responses/{NAMES[status]}"} for status in statuses}


def components(schemas: Schemas, comments: Comments) -> Json:
    """Return the answers that operations refer to."""
    return {name: _component(status, schemas, comments) for status, name in NAMES.items()}


def reasons_at(status: int, comments: Comments) -> Iterator[tuple[str, str, str]]:
    """Yield the reasons of errors with an HTTP status: code, reason, and what to do."""
    for name in ErrorReason.keys()[1:]:
        reason = name.removeprefix("ERROR_REASON_")
        code, _, text = comments.of(f"{REASON}{reason}").partition(": ")
        if HTTP_STATUSES[Code.Value(code)] == status and reason not in _NEVER_OF_CALLS:
            yield code, reason, text


def _component(status: int, schemas: Schemas, comments: Comments) -> Json:
    lines = (f"- `{code}`, `{reason}`: {text}" for code, reason, text in reasons_at(status, comments))
    return {
        "description": "The reason in the ErrorInfo of `details` is one of these, as far as they concern the method:"
        "\n\n" + "\n".join(lines),
        "headers": _headers(status),
        "content": {"application/json": {"schema": schemas.message(STATUS)}},
    }


def _headers(status: int) -> Json:
    if status == 401:
        return {"WWW-Authenticate": {"description": "Bearer.", "required": True, "schema": {"const": "Bearer"}}}
    if status in (409, 429, 503):
        description = "The whole seconds after which to retry, if that helps: see RetryInfo."
        return {"Retry-After": {"description": description, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return {}


def _texts(message: Descriptor, comments: Comments, seen: set[str]) -> Iterator[str]:
    """Yield the comments of the fields of a request, and of the messages in it."""
    seen.add(message.full_name)
    for field in message.fields:
        yield comments.of(field.full_name)
        if field.containing_oneof is not None:
            yield comments.of(f"{message.full_name}.{field.containing_oneof.name}")
        inner = field.message_type
        if inner is not None and inner.full_name not in seen and inner.full_name.startswith("configapi."):
            yield from _texts(inner, comments, seen)
