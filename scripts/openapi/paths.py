"""Paths of the document: short names for the variables of the templates, and a name for each operation."""

import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from configsvc.web.routes import Route

_VARIABLE = re.compile(r"\{(?P<field>[a-z_.]+)(?:=(?P<within>[^}]*))?\}")


def path_of(route: Route) -> str:
    """Return the path of a route as OpenAPI has it."""
    return _VARIABLE.sub(_short, route.path)


def variables_of(route: Route) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield the variables of a path: the name in the document, and the field."""
    for found in _VARIABLE.finditer(route.path):
        yield _name(found), field_at(route.method.input_type, found["field"])


def operation_id(route: Route, *, is_first: bool) -> str:
    """Return the name of an operation: that of its method, and for further routes what tells them apart."""
    name = route.method.name.replace("Update", "Replace") if route.verb == "PUT" else route.method.name
    if route.path.endswith(":byId") or "/{id}" in route.path:
        return name if is_first else f"{name}ById"
    if is_first or (route.verb == "PUT" and route.template.fields):
        return name
    if route.template.fields:
        return f"{name}OfApplication" if "selector" in route.path else f"{name}{route.path.rpartition(':')[2].title()}"
    return f"{name}ByBody" if route.body == "*" else f"{name}ByName"


def field_at(message: Descriptor, name: str) -> FieldDescriptor:
    """Return the field with a dotted name."""
    *above, last = name.split(".")
    for part in above:
        inner = message.fields_by_name[part].message_type
        assert inner is not None
        message = inner
    return message.fields_by_name[last]


def _short(found: re.Match[str]) -> str:
    fixed = (found["within"] or "").rpartition("/")[0]
    return f"{fixed}/{{{_name(found)}}}" if fixed else f"{{{_name(found)}}}"


def _name(found: re.Match[str]) -> str:
    if (found["within"] or "").startswith("operations/"):
        return "operation"
    return found["field"].removesuffix("application.name").rpartition(".")[2] or "application"
