"""The reference of the API as Markdown: a page for each service, one for the messages, and an index."""

from collections.abc import Iterable, Iterator
from typing import cast

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.rpc.code_pb2 import Code

from configsvc.api.services import SERVICES
from configsvc.web.errors import HTTP_STATUSES
from configsvc.web.routes import Route, Routes
from scripts.openapi.comments import Comments, first_sentence
from scripts.openapi.failures import codes_of
from scripts.openapi.limits import is_map
from scripts.openapi.paths import path_of
from scripts.openapi.rules import rules_of
from scripts.openapi.schemas import name_of

TYPES = "types.md"
# Everybody has these.
FOREIGN = "google.protobuf."
_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
}
_NOTE = "Generated from the protos by `make proto`: change the comments there.\n"


def reference(comments: Comments) -> dict[str, str]:
    """Return the pages, by file name."""
    routes: dict[str, list[Route]] = {}
    for route in Routes(SERVICES).all:
        routes.setdefault(route.method.full_name, []).append(route)
    return {
        "README.md": _text(_index(comments)),
        **{_file(service): _text(_service(service, routes, comments)) for service in SERVICES},
        TYPES: _text(_types(comments)),
    }


def _index(comments: Comments) -> Iterator[str]:
    yield f"# Methods\n\n{_NOTE}"
    yield "See [API](../api.md) for what all of them have in common, and [Messages](types.md) for their fields.\n"
    for service in SERVICES:
        yield f"## [{service.name}]({_file(service)})\n\n{comments.of(service.full_name)}\n"
        yield "| method | permission | what it does |\n|---|---|---|"
        for method in service.methods:
            summary = first_sentence(comments.of(method.full_name))
            link = f"{_file(service)}#{method.name.lower()}"
            yield f"| [`{method.name}`]({link}) | {rules_of(method).permission} | {_cell(summary)} |"
        yield ""


def _service(service: ServiceDescriptor, routes: dict[str, list[Route]], comments: Comments) -> Iterator[str]:
    yield f"# {service.name}\n\n{_NOTE}\n`{service.full_name}`\n\n{comments.of(service.full_name)}\n"
    for method in service.methods:
        yield from _method(method, routes[method.full_name], comments)


def _method(method: MethodDescriptor, routes: Iterable[Route], comments: Comments) -> Iterator[str]:
    rules = rules_of(method)
    yield f"## {method.name}\n\n{comments.of(method.full_name)}\n"
    yield f"- Permission: [{rules.permission}](../api.md#permissions)\n- Since: {rules.since}, {rules.stability}"
    yield from (f"- `{route.verb} {path_of(route)}`{_bodies(route)}" for route in routes)
    request = (
        "Each message of the request stream" if method.client_streaming else "Request"
    ) + f": `{method.input_type.name}`"
    yield f"\n{request}\n"
    yield from _fields(method.input_type, comments)
    answer = "Each message of the answer" if method.server_streaming else "Answer"
    output = method.output_type
    yield f"\n{answer}: {_linked(output) if _is_type(output) else f'`{output.name}`'}\n"
    if not _is_type(output):
        yield from _fields(output, comments)
    yield f"\n{_errors(method, comments)}\n"


def _bodies(route: Route) -> str:
    parts: list[str] = []
    if route.verb == "PUT":
        parts.append("the body is the bare content")
    elif route.body and route.body != "*":
        parts.append(f"the body is `{route.body}`")
    if route.response_body:
        parts.append(f"answers with the bare `{route.response_body}`")
    return f": {', '.join(parts)}" if parts else ""


def _errors(method: MethodDescriptor, comments: Comments) -> str:
    codes = sorted(codes_of(method, comments), key=lambda code: (HTTP_STATUSES[code], code))
    listed = ", ".join(f"`{Code.Name(code)}` ({HTTP_STATUSES[code]})" for code in codes)
    return f"Errors, with their HTTP statuses: {listed}. See [Errors](../errors.md)."


def _types(comments: Comments) -> Iterator[str]:
    yield f"# Messages and enums\n\n{_NOTE}"
    for element in sorted(_shared(), key=name_of):
        yield f"## {name_of(element)}\n\n{comments.of(element.full_name)}\n"
        if isinstance(element, EnumDescriptor):
            yield "| value | number | meaning |\n|---|---|---|"
            for value in element.values:
                yield f"| `{value.name}` | {value.number} | {_cell(comments.of(f'{element.full_name}.{value.name}'))} |"
        else:
            yield from _fields(element, comments)
        yield ""


def _fields(message: Descriptor, comments: Comments) -> Iterator[str]:
    if not message.fields:
        yield "It has no fields."
        return
    yield "| field | type | meaning |\n|---|---|---|"
    for field in message.fields:
        yield f"| `{field.name}` | {_type(field)} | {_cell(_meaning(field, comments))} |"


def _meaning(field: FieldDescriptor, comments: Comments) -> str:
    group, comment = field.containing_oneof, comments.of(field.full_name)
    others = [f"`{other.name}`" for other in group.fields if other.name != field.name] if group is not None else []
    return f"{comment} Excludes {', '.join(others)}." if others else comment


def _type(field: FieldDescriptor) -> str:
    if is_map(field):
        entry = cast("Descriptor", field.message_type)
        return f"map of {_type(entry.fields_by_name['value'])}"
    kind: Descriptor | EnumDescriptor | None = field.message_type or field.enum_type
    one = _linked(kind) if kind is not None else _SCALARS.get(field.cpp_type, "")
    return f"list of {one}" if field.is_repeated else one


def _linked(element: Descriptor | EnumDescriptor) -> str:
    name = name_of(element)
    if element.full_name.startswith(FOREIGN):
        return f"`{element.full_name}`"
    return f"[`{name}`]({TYPES}#{name.lower().replace('.', '')})"


def _shared() -> list[Descriptor | EnumDescriptor]:
    """Return the messages inside of requests and answers, and the enums."""
    pending = [kind for service in SERVICES for method in service.methods for kind in _kinds_of(method)]
    found: dict[str, Descriptor | EnumDescriptor] = {}
    while pending:
        element = pending.pop()
        if element.full_name in found or element.full_name.startswith(FOREIGN):
            continue
        if isinstance(element, EnumDescriptor) or _is_type(element):
            found[element.full_name] = element
        if not isinstance(element, EnumDescriptor):
            pending += [kind for field in element.fields for kind in (field.message_type, field.enum_type) if kind]
    return [element for element in found.values() if not _is_entry(element)]


def _kinds_of(method: MethodDescriptor) -> tuple[Descriptor | EnumDescriptor, ...]:
    return (method.input_type, method.output_type)


def _is_type(message: Descriptor) -> bool:
    """Return whether a message has a place among the shared ones: it is no request, and no answer."""
    return not message.name.endswith(("Request", "Response"))


def _is_entry(element: Descriptor | EnumDescriptor) -> bool:
    return isinstance(element, Descriptor) and bool(element.GetOptions().map_entry)


def _file(service: ServiceDescriptor) -> str:
    return f"{''.join(f'-{c.lower()}' if c.isupper() else c for c in service.name).strip('-')}.md"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
