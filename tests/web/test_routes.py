"""Paths: which method a request means, and the variables that its path has."""

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote

import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import given
from hypothesis import strategies as st

from configsvc.api.services import SERVICES
from configsvc.domain.errors import InvalidRequestError
from configsvc.web.routes import Route, Routes
from configsvc.web.templates import Matcher, template

ROUTES = Routes(SERVICES)
# Names that look like parts of other paths, and texts that are no names: the method refuses those.
NAMES = ("web", "team/web", "configurations", "versions", "items", "a/configurations/b", "a/versions/1", "operations")
TEXTS = (
    "rollback",
    "a:b",
    "web:versions",
    ":byName",
    "a%2Fb",
    "100%",
    "a+b",
    "a b",
    "Käse",
    "日本",
    ".",
    "..",
    "a//b",
    "?#",
)


def example(route: Route, text: str) -> tuple[str, dict[str, str]]:
    """Return a path of a route with this text for each variable, and the variables."""
    path, variables = route.path, {}
    for field in route.template.fields:
        start = path.index("{" + field)
        end = path.index("}", start) + 1
        pattern = path[start + 1 : end - 1].partition("=")[2] or "*"
        prefix = pattern.rstrip("*")
        path = path[:start] + prefix + quote(text, safe="") + path[end:]
        variables[field] = prefix + text
    return path, variables


def matched(verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
    match = ROUTES.match(verb, path)
    return match and (match.route, dict(match.variables))


def methods() -> Iterator[MethodDescriptor]:
    for service in SERVICES:
        yield from service.methods


def test_every_method_has_a_route() -> None:
    assert {route.method.full_name for route in ROUTES.all} == {method.full_name for method in methods()}


def test_an_answer_that_is_a_bare_resource_leaves_out_nothing_but_what_headers_say() -> None:
    for route in ROUTES.all:
        if route.response_body:
            fields = {field.name for field in route.method.output_type.fields}
            assert fields <= {route.response_body, "revision", "epoch", "changed"}, route.path


@pytest.mark.parametrize("text", NAMES + TEXTS)
@pytest.mark.parametrize("end", ["", "/"])
def test_a_path_means_its_own_route_whatever_its_variables_are_with_and_without_a_last_slash(
    text: str, end: str
) -> None:
    for route in ROUTES.all:
        path, variables = example(route, text)
        assert matched(route.verb, path + end) == (route, variables), (route.path, path)


def test_no_path_of_a_route_is_matched_by_another_one() -> None:
    for one, other in product(ROUTES.all, repeat=2):
        if one is other or (one.verb, one.template.verb) != (other.verb, other.template.verb):
            continue
        alone = Matcher([(other.template, other)])
        for text in ("web", "configurations", "versions", "a:b"):
            path = example(one, text)[0].removesuffix(f":{one.template.verb}" if one.template.verb else "\0")
            assert alone.match(path) is None, (one.path, other.path)


@given(st.text(min_size=1, max_size=40))
def test_any_text_that_is_percent_encoded_arrives_as_it_is(text: str) -> None:
    for route in ROUTES.all:
        if route.template.fields == ("key.application", "key.name"):
            path, variables = example(route, text)
            assert matched(route.verb, path) == (route, variables)


@pytest.mark.parametrize("name", ["team/web", "a/b/c/d"])
def test_a_name_with_slashes_can_be_written_with_and_without_percent_encoding(name: str) -> None:
    start = "/api/v1/applications/shop/configurations/"
    for written in (name, quote(name, safe=""), name.replace("/", "%2f")):
        for verb, end in (("GET", ""), ("GET", ":versions"), ("POST", ":rollback"), ("PUT", ""), ("DELETE", "")):
            match = ROUTES.match(verb, start + written + end)
            assert match
            assert match.variables["key.name"] == name


def test_a_colon_begins_a_verb_only_if_the_contract_has_it() -> None:
    start = "/api/v1/applications/shop/configurations/"
    match = ROUTES.match("GET", f"{start}web:version")
    assert match
    assert (match.route.method.name, match.variables["key.name"]) == ("GetConfiguration", "web:version")
    match = ROUTES.match("GET", f"{start}web:versions")
    assert match
    assert (match.route.method.name, match.variables["key.name"]) == ("ListConfigurationVersions", "web")


def test_a_verb_of_the_contract_is_never_taken_for_a_part_of_a_name() -> None:
    assert ROUTES.match("GET", "/api/v1/applications/shop/configurations/web:rollback") is None
    assert ROUTES.verbs("/api/v1/applications/shop/configurations/web:rollback") == ("POST",)
    assert ROUTES.verbs("/api/v1/configurations/web:export") == ()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//api/v1/applications",
        "/api/v1/applications//configurations",
        "/api/v1/applications/shop/configurations/a//b",
        "/api/v1/applications/shop//",
        "/api/v2/applications",
        "/API/v1/applications",
        "/api/v1/applications/shop/configuration/web",
        "/api/v1/schemas/a/versions/1/2",
        "/api/v1/configurations:byname",
        "/api/v1/operations/a/b",
        "/api/v1/applications/shop/configurations:byName",
        "/api/v1/applications\n",
    ],
)
def test_other_paths_mean_nothing(path: str) -> None:
    assert ROUTES.verbs(path) == ()


@pytest.mark.parametrize("written", ["%", "%4", "%zz", "a%", "%u0041", "%ff", "%c3", "%ed%a0%80"])
def test_a_path_that_is_badly_encoded_is_a_fault(written: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"has a %|is not UTF-8"):
        ROUTES.match("GET", f"/api/v1/applications/{written}")


def test_bytes_of_utf_8_need_no_percent_encoding() -> None:
    path = "/api/v1/applications/Käse".encode().decode("latin-1")
    match = ROUTES.match("GET", path)
    assert match
    assert match.variables == {"name": "Käse"}


@pytest.mark.parametrize(
    ("text", "path", "variables"),
    [
        ("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", {"name": "shelves/1/books/2"}),
        ("/v1/{a}/b/{c=**}:verb", "/v1/x/b/y/z", {"a": "x", "c": "y/z"}),
        ("/v1/a.b", "/v1/a.b", {}),
    ],
)
def test_templates_have_the_grammar_of_google_api_http(text: str, path: str, variables: dict[str, str]) -> None:
    found = template(text)
    assert Matcher([(found, text)]).match(path) == (text, variables)
    assert Matcher([(found, text)]).match(path.replace(".", "x").replace("v1", "v2")) is None
