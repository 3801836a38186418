"""Parameters of operations: variables of the path, fields in the query, and headers."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from configsvc.web.json_fill import TEXTS
from configsvc.web.json_reader import is_content
from configsvc.web.polling import MOST_WAIT_SECONDS, PAGE_TOKEN, WAIT
from configsvc.web.routes import Route
from scripts.openapi.comments import Comments, is_text_twin
from scripts.openapi.examples import NAMES
from scripts.openapi.limits import Json, is_map, is_required
from scripts.openapi.paths import field_at, variables_of
from scripts.openapi.schemas import WELL_KNOWN, Schemas, is_content_format

MAX_DEPTH = 3
# Parameters may leave out the names of these fields; of a list of selectors, they are about the first.
IMPLIED = ("key", "selector", "selectors")
_OF_POLLING: tuple[Json, ...] = (
    {
        "name": WAIT,
        "in": "query",
        "description": "Long polling: answer once, with JSON, as soon as there is something or after this time, at most "
        f"{MOST_WAIT_SECONDS:g} s.",
        "schema": WELL_KNOWN["google.protobuf.Duration"],
    },
    {
        "name": PAGE_TOKEN,
        "in": "query",
        "description": "Long polling: the `next_page_token` of the answer before, if it has one. Needs `wait`.",
        "schema": {"type": "string"},
    },
)
_SLASH = " Write a `/` in it as `%2F`."


def parameters_of(route: Route, schemas: Schemas, comments: Comments) -> list[Json]:
    """Return the parameters of an operation."""
    return [
        *_in_path(route, schemas, comments),
        *(() if route.body == "*" else _in_query(route, schemas, comments)),
        *(_OF_POLLING if is_watch(route) else ()),
        *headers_of(route),
    ]


def fields_of_path(route: Route) -> set[str]:
    """Return the fields of the request that the path sets, or excludes as it sets another one of their oneof."""
    names: set[str] = set()
    for name in route.template.fields:
        above, message = name.rpartition(".")[0], route.method.input_type
        names.add(above if above and field_at(message, name).containing_oneof else name)
        first = message.fields_by_name[name.partition(".")[0]]
        names |= {field.name for field in first.containing_oneof.fields} if first.containing_oneof else set()
    return names


def headers_of(route: Route) -> Iterator[Json]:
    """Yield the headers of the request that mean something to a method."""
    fields = route.method.input_type.fields_by_name
    if "request_id" in fields and not route.method.client_streaming:
        yield _header("Idempotency-Key", "The same as `request_id`: a UUID or ULID that the caller chooses.")
    if "request_id" in fields:
        yield _header("X-Change-Request", "The same as `change_request`, where the request has none.")
    if "expected_etag" in fields or "update_mask" in fields:
        yield _header("If-Match", "The `ETag` that the current version must have, in quotes. `*`: it must exist.")
    if route.verb == "PUT":
        yield _header("If-None-Match", "`*`: it must not exist, and is created.")
    if route.is_read and has_etag(route):
        yield _header("If-None-Match", "The `ETag` of a version that the client has: 304 if it is the current one.")
    if "resume_token" in fields:
        yield _header("Last-Event-ID", "The same as `resume_token`, as event streams have it.")


def is_watch(route: Route) -> bool:
    """Return whether a route is that of a watch, which can be polled, too."""
    return route.method.name == "WatchConfigurations"


def has_etag(route: Route) -> bool:
    """Return whether the answer is a bare resource with an etag."""
    if not route.response_body:
        return False
    resource = route.method.output_type.fields_by_name[route.response_body].message_type
    return resource is not None and "etag" in resource.fields_by_name


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _in_path(route: Route, schemas: Schemas, comments: Comments) -> Iterator[Json]:
    for name, field in variables_of(route):
        schema = schemas.parameter(field)
        description = comments.of_field(field)
        if name == "operation":
            schema, description = {"type": "string", "minLength": 26, "maxLength": 26}, "The ULID of the operation."
        holds_slash = f"{name}=**" in route.path
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": description + (_SLASH if holds_slash else ""),
            "schema": schema,
            **_example(route.path, name),
        }


def _example(path: str, name: str) -> Json:
    """Return an example for a variable, if it is a name."""
    resource = "schema" if "/schemas/" in path else "configuration" if "/configurations" in path else "application"
    example = NAMES.get(name if name in NAMES else resource)
    return {"example": example} if name in ("application", "name", "schema") else {}


def _in_query(route: Route, schemas: Schemas, comments: Comments) -> Iterator[Json]:
    message = route.method.input_type
    taken = {*fields_of_path(route), *_of_body(route, comments)}
    chosen = _chosen_ref(message, taken)
    taken |= {field.name for field in chosen.containing_oneof.fields} - {chosen.name} if chosen else set()
    for name, field in _leaves(message, "", taken, 0):
        is_chosen = chosen is not None and name.partition(".")[0] == chosen.name
        is_needed = is_chosen or ("." not in name and is_required(comments.of_field(field)))
        yield {
            "name": short_name(name),
            "in": "query",
            **({"required": True} if is_needed else {}),
            "description": _described(name, field, comments),
            **_schema(field, schemas),
        }


def short_name(name: str) -> str:
    """Return the name of a parameter: without what parameters may leave out."""
    first, _, rest = name.partition(".")
    name = rest if rest and first in IMPLIED else name
    return name.removesuffix(".name") if name.endswith("application.name") else name.replace("schema.schema", "schema")


def _schema(field: FieldDescriptor, schemas: Schemas) -> Json:
    if is_content(field):
        return {"content": {"application/json": {"schema": schemas.parameter(field)}}}
    return {"schema": schemas.parameter(field)}


def _of_body(route: Route, comments: Comments) -> set[str]:
    """Return the fields that the body holds, those that mean something beside another body only, and those that are
    refused.
    """
    message = route.method.input_type
    patch = message.oneofs_by_name.get("patch")
    beside = {"configuration", "update_mask", *(field.name for field in patch.fields)} if patch else set[str]()
    return {route.body, *beside} if route.body else set(_refused(message, comments))


def _refused(message: Descriptor, comments: Comments) -> Iterator[str]:
    """Yield the parts of fields that their comment says are refused."""
    for field in message.fields:
        found = re.search(r"The parts ([\w, ]+) are refused", comments.of(field.full_name))
        for part in re.split(r", | and ", found[1]) if found else ():
            yield f"{field.name}.{part}"


def _chosen_ref(message: Descriptor, taken: set[str]) -> Any:
    """Return the field that names the resource in the query: the key, or else the id; None if the path names it."""
    group = message.oneofs_by_name.get("ref")
    if group is None or any(field.name in taken for field in group.fields):
        return None
    return next((field for field in group.fields if field.message_type is not None), group.fields[0])


def _leaves(message: Descriptor, path: str, taken: set[str], depth: int) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield the fields that a parameter can hold, with their dotted names."""
    for field in message.fields:
        name, inner = f"{path}{field.name}", field.message_type
        if name in taken or is_text_twin(field) or is_map(field) or is_content_format(field):
            continue
        if inner is None or inner.full_name in TEXTS or is_content(field):
            yield name, field
        elif (
            (not field.is_repeated or name in IMPLIED)
            and not inner.full_name.startswith("google.")
            and depth < MAX_DEPTH
        ):
            yield from _leaves(inner, f"{name}.", taken, depth + 1)


def _described(name: str, field: FieldDescriptor, comments: Comments) -> str:
    group, comment = field.containing_oneof, comments.of_field(field)
    is_ref = group is not None and group.name == "ref" and "." not in name
    if group is None or is_ref or len(group.fields) == 1 or is_content(field):
        return comment
    above = name.removesuffix(field.name)
    others = (f"`{short_name(f'{above}{other.name}')}`" for other in group.fields if other.name != field.name)
    return f"{comment} Excludes {', '.join(others)}."
