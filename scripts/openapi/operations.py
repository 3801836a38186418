"""Operations: one for each verb and path of a method, with its body and its answers."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from configsvc.web.binding import JSON, JSON_PATCH, MERGE_PATCH
from configsvc.web.routes import Route
from scripts.openapi.comments import Comments, first_sentence
from scripts.openapi.examples import ANSWERS, BODIES
from scripts.openapi.failures import codes_of, responses_of
from scripts.openapi.limits import Json
from scripts.openapi.parameters import fields_of_path, has_etag, is_watch, parameters_of
from scripts.openapi.paths import operation_id
from scripts.openapi.rules import rules_of
from scripts.openapi.schemas import INT64, Schemas, name_of

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


class Operations:
    """The operations of a document, as routes are added."""

    def __init__(self, schemas: Schemas, comments: Comments) -> None:
        self._schemas = schemas
        self._comments = comments

    def of(self, route: Route, *, is_first: bool) -> Json:
        """Return the operation of a route; `is_first` is true for the first route of its method."""
        method = route.method
        comment = self._comments.of(method.full_name)
        name = operation_id(route, is_first=is_first)
        parameters = parameters_of(route, self._schemas, self._comments)
        return {
            "operationId": name,
            "tags": [method.containing_service.name],
            "summary": first_sentence(comment),
            "description": f"{comment}\n\n{_told(method)}",
            **({"parameters": parameters} if parameters else {}),
            **({"requestBody": self._body(route, name)} if route.body else {}),
            "responses": {
                "200": self._answer(route, name),
                **({"304": _NOT_MODIFIED} if has_etag(route) and route.verb == "GET" else {}),
                **responses_of(codes_of(method, self._comments)),
            },
        }

    def _body(self, route: Route, name: str) -> Json:
        schemas = self._schemas_of_body(route)
        example = BODIES.get(name)
        content = {kind: {"schema": schema} for kind, schema in schemas.items()}
        for kind, value in (example or {}).items():
            content[kind]["example"] = value
        return {"required": route.body != "*" or self._needs_body(route), "content": content}

    def _needs_body(self, route: Route) -> bool:
        schema = self._schemas.object(route.method.input_type, fields_of_path(route))
        return route.method.client_streaming or "required" in schema or "oneOf" in schema

    def _schemas_of_body(self, route: Route) -> Json:
        message = route.method.input_type
        if route.verb == "PUT":
            return {JSON: {"type": "object", "description": self._content(message, "configuration")}}
        if route.body == "merge_patch":
            return self._patches(message)
        if route.method.client_streaming:
            return {LINES: self._stream(message, LINES, "JSON text, one message a line.")}
        if route.body == "*":
            return {JSON: self._whole(route, message)}
        field = message.fields_by_name[route.body]
        return {JSON: self._schemas.parameter(field)}

    def _patches(self, message: Descriptor) -> Json:
        merge, patch = (message.fields_by_name[name] for name in ("merge_patch", "json_patch"))
        schema: Json = {"type": "object", "description": self._comments.of_field(merge)}
        operations = {"type": "array", "items": _JSON_PATCH_OPERATION, "description": self._comments.of_field(patch)}
        return {MERGE_PATCH: schema, JSON: schema, JSON_PATCH: operations}

    def _content(self, message: Descriptor, field: str) -> str:
        inner = message.fields_by_name[field].message_type
        assert inner is not None
        return self._comments.of(f"{inner.full_name}.content")

    def _whole(self, route: Route, message: Descriptor) -> Json:
        """Return the schema of a request without what its path holds."""
        in_path = fields_of_path(route)
        if not in_path:
            return self._schemas.message(message)
        name = f"{name_of(message).removesuffix('Request')}Body"
        self._schemas.components[name] = self._schemas.object(message, in_path)
        return {"$ref": f"#/components/schemas/{name}"}

    def _answer(self, route: Route, name: str) -> Json:
        output = route.method.output_type
        example = ANSWERS.get(name)
        if route.method.server_streaming:
            kind, text = (EVENTS, _EVENTS_TEXT) if is_watch(route) else (LINES, _LINES_TEXT)
            content: Json = {kind: {"schema": self._stream(output, kind, text)}}
            if is_watch(route):
                content[JSON] = {"schema": self._polled(output)}
        elif route.response_body:
            kind, content = (
                JSON,
                {JSON: {"schema": self._schemas.parameter(output.fields_by_name[route.response_body])}},
            )
        else:
            kind, content = JSON, {JSON: {"schema": self._schemas.message(output)}}
        if example is not None:
            content[kind]["example"] = example
        return {"description": self._described(route), "headers": self._headers(route), "content": content}

    def _described(self, route: Route) -> str:
        output = route.method.output_type
        if not route.response_body:
            return self._comments.of(output.full_name) or "The answer."
        return self._comments.of_field(output.fields_by_name[route.response_body])

    def _headers(self, route: Route) -> Json:
        fields = dict(route.method.output_type.fields_by_name) if route.response_body else dict[str, FieldDescriptor]()
        named: dict[str, FieldDescriptor] = {
            header: fields[field]
            for header, field in (
                ("X-Configsvc-Revision", "revision"),
                ("X-Configsvc-Epoch", "epoch"),
                ("X-Configsvc-Changed", "changed"),
            )
            if field in fields
        }
        headers: Json = {
            header: {"description": self._comments.of_field(field), "schema": _HEADER_SCHEMAS[field.name]}
            for header, field in named.items()
        }
        if has_etag(route):
            headers["ETag"] = {
                "description": "The etag of the resource, in quotes. Not set where `etag` is empty.",
                "schema": {"type": "string"},
            }
        return headers

    def _stream(self, message: Descriptor, kind: str, text: str) -> Json:
        """Return the schema of a stream: a text, and the messages in it."""
        items = {"type": "array", "items": self._schemas.message(message)}
        return {"type": "string", "description": text, "contentMediaType": kind, "contentSchema": items}

    def _polled(self, message: Descriptor) -> Json:
        """Return the schema of an answer of long polling."""
        tokens: Json = {
            "resume_token": {"type": "string", "description": "The position after all messages: poll on with it."},
            "next_page_token": {
                "type": "string",
                "description": "Instead of a `resume_token`: there is more, which the same request returns with this "
                "`page_token`.",
            },
        }
        messages = {"type": "array", "items": self._schemas.message(message)}
        return {
            "type": "object",
            "description": "The answer of long polling: with `wait`.",
            "properties": {"messages": messages, **tokens},
            "required": ["messages"],
            "oneOf": [{"required": [name]} for name in tokens],
        }


def _told(method: MethodDescriptor) -> str:
    rules = rules_of(method)
    return f"Permission: {rules.permission}. Since {rules.since}, {rules.stability}."


_NOT_MODIFIED: Json = {
    "description": "The client has the current version already. There is no body.",
    "headers": {"ETag": {"description": "The etag of the resource, in quotes.", "schema": {"type": "string"}}},
}
_HEADER_SCHEMAS: dict[str, Json] = {
    "revision": INT64,
    "epoch": {"type": "string"},
    "changed": {"type": "string", "enum": ["true", "false"]},
}
_JSON_PATCH_OPERATION: Json = {
    "type": "object",
    "properties": {
        "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": {"type": "string", "description": "A JSON Pointer."},
        "from": {"type": "string", "description": "A JSON Pointer, of move and copy."},
        "value": {"description": "Of add, replace and test."},
    },
    "required": ["op", "path"],
}
_LINES_TEXT = (
    "JSON text, one message a line. A stream that fails after its beginning ends with the line "
    '`{"error": STATUS}`, whose value is a Status.'
)
_EVENTS_TEXT = (
    "Server-sent events. Each has JSON text as its data, a message; its `event` is `opened`, `change`, `synced` or "
    "`bookmark`, and its `id` the `resume_token`, where it has one. A browser's EventSource sends the last one as "
    "`Last-Event-ID` when it reconnects, which resumes the watch. A stream that fails after its beginning ends with "
    "the event `error`, whose data is a Status."
)
