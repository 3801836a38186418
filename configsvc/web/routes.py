"""Routes: the methods of the contract by verb and path, from their google.api.http annotations."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from google.api.annotations_pb2 import http
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from configsvc.web.requests import invalid
from configsvc.web.templates import Matcher, Template, Variables, split_verb, template

OPERATIONS = "/api/v1/operations"
# google.longrunning has annotations of its own, for other paths.
_OF_OTHERS: dict[str, HttpRule] = {
    "ListOperations": HttpRule(get=OPERATIONS),
    "GetOperation": HttpRule(get="/api/v1/{name=operations/*}"),
    "DeleteOperation": HttpRule(delete="/api/v1/{name=operations/*}"),
    "CancelOperation": HttpRule(post="/api/v1/{name=operations/*}:cancel", body="*"),
    "WaitOperation": HttpRule(post="/api/v1/{name=operations/*}:wait", body="*"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One verb and path of a method.

    `body`: the field that the body holds; * the whole request, empty none. `response_body`: the field that answers;
    empty the whole response. `is_read`: GET, without a body.
    """

    method: MethodDescriptor
    verb: str
    path: str
    template: Template
    body: str
    response_body: str
    is_read: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The route of a request, with the variables of its path."""

    route: Route
    variables: Variables


class Routes:
    """All routes of some services."""

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self.all = tuple(route for service in services for route in _routes_of(service))
        self._custom_verbs = frozenset(route.template.verb for route in self.all)
        grouped: dict[tuple[str, str], list[Route]] = {}
        for route in self.all:
            grouped.setdefault((route.verb, route.template.verb), []).append(route)
        self._matchers = {
            verbs: Matcher((route.template, route) for route in routes) for verbs, routes in grouped.items()
        }
        self._verbs = tuple(dict.fromkeys(route.verb for route in self.all))

    def match(self, verb: str, path: str) -> Match | None:
        """Return the route for a raw path, with or without a last slash; None if no method has it.

        Raises InvalidRequestError if a variable is badly encoded.
        """
        path, custom_verb = self._split(path)
        matcher = self._matchers.get((verb, custom_verb))
        try:
            found = matcher.match(path) if matcher else None
        except ValueError as error:
            raise invalid("path", str(error)) from error
        return Match(route=found[0], variables=found[1]) if found else None

    def verbs(self, path: str) -> tuple[str, ...]:
        """Return the verbs that a raw path has. Raises InvalidRequestError."""
        matches = {verb: match for verb in self._verbs if (match := self.match(verb, path))}
        read = matches.get("GET")
        # A stream would be closed again at once.
        return (*matches, *(("HEAD",) if read and not read.route.method.server_streaming else ()))

    def _split(self, path: str) -> tuple[str, str]:
        path = path.removesuffix("/")
        plain, verb = split_verb(path)
        return (plain, verb) if verb in self._custom_verbs else (path, "")


def _routes_of(service: ServiceDescriptor) -> Generator[Route]:
    for method in service.methods:
        rule = _rule(method)
        for binding in (rule, *rule.additional_bindings):
            yield _route(method, binding)


def _rule(method: MethodDescriptor) -> HttpRule:
    # The types of extensions are known to no type checker.
    options: Any = method.GetOptions()
    return _OF_OTHERS.get(method.name) or options.Extensions[http]


def _route(method: MethodDescriptor, rule: HttpRule) -> Route:
    verb = rule.WhichOneof("pattern")
    if verb is None or verb == "custom":
        raise LookupError(f"{method.full_name} has no google.api.http annotation")
    path = getattr(rule, verb)
    return Route(
        method=method,
        verb=verb.upper(),
        path=path,
        template=template(path),
        body=rule.body,
        response_body=rule.response_body,
        is_read=verb == "get",
    )
