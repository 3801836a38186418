"""The OpenAPI document as a whole."""

from configsvc.api.services import SERVICES
from configsvc.web.routes import Routes
from scripts.openapi.comments import Comments
from scripts.openapi.failures import components
from scripts.openapi.limits import Json
from scripts.openapi.operations import Operations
from scripts.openapi.paths import path_of
from scripts.openapi.schemas import Schemas

HEALTH = "Health"
DESCRIPTION = """\
JSON over HTTP, with the methods of the gRPC API.

- Names are those of the protos. Fields that are not set, and those that are 0, false or empty, are left out of answers.
- Numbers of 64 bits are strings, as JSON numbers lose digits in many languages. Requests may have numbers instead.
- Fields and parameters that this server does not know are refused.
- The body of `PUT` is the bare content of a configuration, and that of `PATCH` a patch of it; `curl -d` may call it
  a form. `:update` takes the whole request.
- Parameters may have the names of fields in full, such as `selector.name_prefix` for `name_prefix`.
- Errors are a google.rpc.Status; its `details` have the reason.
- Every path can be asked for with a last slash, and `HEAD` works where `GET` does.
- Answers are compressed with gzip where the client offers it.

Without authentication, no token is needed. Otherwise, send `Authorization: Bearer TOKEN`.
"""


def document(comments: Comments) -> Json:
    """Return the document."""
    schemas = Schemas(comments)
    paths = _paths(Operations(schemas, comments))
    responses = components(schemas, comments)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "configsvc",
            "version": "v1",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The service that serves this document."}],
        "security": [{"bearer": []}, {}],
        "tags": [
            *({"name": service.name, "description": comments.of(service.full_name)} for service in SERVICES),
            {"name": HEALTH, "description": "For probes, and for people. Needs no token."},
        ],
        "paths": {**paths, **_health()},
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": responses,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the OpenID provider."}
            },
        },
    }


def _paths(operations: Operations) -> Json:
    paths: dict[str, Json] = {}
    seen: set[str] = set()
    for route in Routes(SERVICES).all:
        operation = operations.of(route, is_first=route.method.full_name not in seen)
        seen.add(route.method.full_name)
        verbs = paths.setdefault(path_of(route), {})
        assert route.verb.lower() not in verbs, f"{route.verb} {route.path} is there twice"
        verbs[route.verb.lower()] = operation
    names = [operation["operationId"] for verbs in paths.values() for operation in verbs.values()]
    assert len(names) == len(set(names)), "two operations have one name"
    return paths


def _health() -> Json:
    text: Json = {"text/plain": {"schema": {"type": "string"}}}
    state: Json = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/health": _probe("GetHealth", "The state of the process and its database", state),
        "/health/live": _probe("GetLiveness", "Answers as long as the process runs", text),
        "/health/ready": _probe("GetReadiness", "Whether the process takes calls", text),
    }


def _probe(name: str, summary: str, content: Json) -> Json:
    answers = {"200": {"description": "Yes.", "content": content}}
    if name != "GetLiveness":
        answers["503"] = {"description": "Not now.", "content": content}
    return {"get": {"operationId": name, "tags": [HEALTH], "summary": summary, "security": [], "responses": answers}}
