"""Requests over HTTP: what paths, parameters and bodies say, and the faults that only they can have."""

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from configsvc.web import json_reader
from tests.api.calls import create_application
from tests.postgres import cloned_database
from tests.service import LIMIT_SECONDS, running_service
from tests.web.faults import JSON, fields_in, reason_in, status_in, violations_in

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEW = "/api/v1/applications/shop/configurations"
ALL = "/api/v1/configurations"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(postgres_server: str, template_database: str) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of the HTTP door, for tests that each have names of their own."""
    async with (
        cloned_database(postgres_server, template_database) as url,
        running_service(url, http_listen="127.0.0.1:0") as service,
    ):
        await create_application(service, "shop")
        assert service.http
        yield service.http.http


async def put(web: httpx.AsyncClient, name: str, text: str = "{}", **parameters: Any) -> dict[str, Any]:
    response = await web.put(f"{NEW}/{name}", params={"allow_missing": "true", **parameters}, content=text)
    assert response.status_code == 200, response.text
    return response.json()


# Paths


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_name_with_slashes_is_found_encoded_or_not_and_by_parameters(web: httpx.AsyncClient, end: str) -> None:
    made = await put(web, "paths/a/b")
    for path in (
        f"{NEW}/paths/a/b{end}",
        f"{NEW}/paths%2Fa%2fb{end}",
        f"{NEW}/paths%2Fa/b{end}",
        f"{ALL}:byName{end}?application=shop&name=paths/a/b",
        f"{ALL}:byName{end}?application=shop&name=paths%2Fa%2Fb",
        f"{ALL}:byName{end}?key.application=shop&key.name=paths/a/b",
        f"{ALL}/{made['id']}{end}",
    ):
        response = await web.get(path)
        assert (response.status_code, response.json()) == (200, made), path


async def test_every_way_to_write_takes_a_name_with_slashes(web: httpx.AsyncClient) -> None:
    by_name = f"{ALL}:byName?application=shop&name=ways/a&"
    made = await put(web, "ways%2Fa", '{"n":1}')
    answers = [
        await web.put(f"{NEW}/ways/a", content='{"n":2}'),
        await web.put(by_name, content='{"n":3}'),
        await web.put(f"{ALL}/{made['id']}", content='{"n":4}'),
        await web.patch(f"{NEW}/ways%2Fa", content='{"n":5}'),
        await web.patch(by_name, content='{"n":6}'),
        await web.patch(f"{ALL}/{made['id']}", content='{"n":7}'),
        await web.post(f"{NEW}/ways%2Fa:rollback?version=1"),
        await web.post(f"{ALL}:rollback", json={"key": {"application": "shop", "name": "ways/a"}, "version": 2}),
        await web.delete(by_name),
        await web.post(f"{NEW}/ways%2Fa:undelete"),
    ]
    assert [response.status_code for response in answers] == [200] * 10, [response.text for response in answers]
    contents = [response.json().get("config", {}).get("n") for response in answers]
    assert contents == [2, 3, 4, 5, 6, 7, 1, 2, None, 2]


async def test_names_that_look_like_paths_are_names(web: httpx.AsyncClient) -> None:
    for name in ("versions", "configurations", "a/versions/1", "byName", "a.b-c_d", "0"):
        made = await put(web, name)
        assert (await web.get(f"{NEW}/{name}")).json()["name"] == name == made["name"]


async def test_a_plus_is_a_space_in_a_query_and_itself_in_a_path(web: httpx.AsyncClient) -> None:
    made = await put(web, "plus", reason="a+b %+2B")
    versions = (await web.get(f"{NEW}/plus:versions")).json()["versions"]
    assert versions[0]["origin"]["reason"] == "a+b %+2B"
    response = await web.put(f"{NEW}/plus?reason=a+b%2Bc", content='{"n":1}')
    assert response.status_code == 200
    versions = (await web.get(f"{ALL}/{made['id']}:versions")).json()["versions"]
    assert versions[0]["origin"]["reason"] == "a b+c"
    assert violations_in(await web.get(f"{NEW}/a+b"))[0][1].startswith('has "+" as character 2')


@pytest.mark.parametrize("target", [f"{NEW}/%zz", f"{NEW}/%", f"{NEW}/%ff", f"{NEW}?name_prefix=%", f"{NEW}?x=%e4"])
async def test_what_is_badly_encoded_is_refused(web: httpx.AsyncClient, target: str) -> None:
    raw = httpx.URL(f"{web.base_url}").copy_with(raw_path=target.encode())
    assert fields_in(await web.get(raw)) in (["path"], ["query"])


async def test_a_path_that_means_nothing_is_not_found_and_one_with_other_verbs_names_them(
    web: httpx.AsyncClient,
) -> None:
    response = await web.get("/api/v1/nothing")
    assert (response.status_code, status_in(response).code) == (404, 5)
    response = await web.post(f"{NEW}/web")
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (
        405,
        {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
    )
    assert status_in(response).message


# PUT and PATCH


async def test_put_replaces_the_content_with_its_body_and_creates_only_if_asked_to(web: httpx.AsyncClient) -> None:
    response = await web.put(f"{NEW}/put", content="{}")
    assert (response.status_code, reason_in(response)) == (404, "RESOURCE_NOT_FOUND")
    response = await web.put(f"{NEW}/put?allow_missing=true&configuration.comments=c&reason=r", content='{"a":{"b":1}}')
    assert (response.json()["config"], response.json()["comments"]) == ({"a": {"b": 1}}, "c")
    response = await web.put(f"{NEW}/put", content='{"configuration":{"config":{}}}')
    # The bare content, whatever it is: and what it does not say stays.
    assert response.json()["config"] == {"configuration": {"config": {}}}
    assert response.json()["comments"] == "c"


async def test_patch_merges_or_applies_operations_as_its_content_type_says(web: httpx.AsyncClient) -> None:
    await put(web, "patch", '{"a":1,"b":{"c":2,"d":3}}')
    patches = [
        ('{"b":{"c":null}}', "application/merge-patch+json", {"a": 1, "b": {"d": 3}}),
        ('{"a":2}', "application/json", {"a": 2, "b": {"d": 3}}),
        ('[{"op":"add","path":"/e","value":[1]}]', "application/json-patch+json", {"a": 2, "b": {"d": 3}, "e": [1]}),
    ]
    for text, content_type, expected in patches:
        response = await web.patch(f"{NEW}/patch", content=text, headers={"content-type": content_type})
        assert response.json()["config"] == expected, response.text


async def test_the_envelope_is_a_path_of_its_own(web: httpx.AsyncClient) -> None:
    await put(web, "envelope", '{"a":1}')
    body = {
        "key": {"application": "shop", "name": "envelope"},
        "configuration": {"comments": "new", "config": {"a": 2}},
        "update_mask": "comments",
    }
    answer = (await web.post(f"{ALL}:update", json=body)).json()
    assert (answer["comments"], answer["config"]) == ("new", {"a": 1})


# Contents


@pytest.mark.parametrize(
    "text",
    [
        '{"b":3,"aa":1,"a":-0.5}',
        '{"n":[3,0.1,1e-7,9007199254740991,-9007199254740991]}',
        '{"t":"Käse \\u0001 \\\\ \\" / 日本 😀","e":"","n":null,"b":[true,false],"o":{},"l":[[[]]]}',
        '{"a":' * 31 + "{}" + "}" * 31,
    ],
)
async def test_a_content_is_answered_as_it_is_stored(web: httpx.AsyncClient, text: str) -> None:
    written = await web.put(f"{NEW}/content?allow_missing=true", content=text)
    response = await web.get(f"{NEW}/content")
    stored = content_of(response.text)
    assert content_of(written.text) == stored
    assert json.loads(stored) == json.loads(text)
    # Whole numbers have no point, and keys have the order of the database: by length, then by bytes.
    assert "3.0" not in stored
    keys = list(response.json()["config"])
    assert keys == sorted(keys, key=lambda key: (len(key.encode()), key.encode()))


def content_of(answer: str) -> str:
    """Return the text of the content in an answer."""
    return answer[answer.index('"config":') + len('"config":') : answer.index(',"etag"')]


async def test_numbers_of_64_bits_are_texts_in_answers_and_may_be_numbers_in_requests(web: httpx.AsyncClient) -> None:
    made = await put(web, "wide")
    assert made["version"] == "1"
    for version in ("1", 1, 1.0, 1e0):
        body = {"id": made["id"], "version": version}
        assert (await web.post(f"{ALL}:rollback", json=body)).status_code == 200


async def test_names_of_fields_are_those_of_the_proto_or_in_camel_case(web: httpx.AsyncClient) -> None:
    for body in ({"name": "camel", "validate_only": True}, {"name": "camel", "validateOnly": True}):
        response = await web.post(NEW, json={**body, "config": {}})
        assert response.json()["created_by"] == "anonymous"
    assert (await web.get(f"{NEW}?pageSize=1")).status_code == 200


async def test_null_stands_for_a_field_that_is_not_set(web: httpx.AsyncClient) -> None:
    response = await web.post(NEW, json={"name": "null", "config": {}, "schema": None, "validate_only": None})
    assert response.status_code == 200


# Parameters


async def test_parameters_of_lists_may_leave_out_the_selector(web: httpx.AsyncClient) -> None:
    for name in ("list/a", "list/b", "list/c"):
        await put(web, name, json.dumps({"name": name, "n": len(name)}))
    for query, expected in (
        ("application=shop&name_prefix=list/", ["list/a", "list/b", "list/c"]),
        ("selector.application.name=shop&selector.name_prefix=list/&page_size=2", ["list/a", "list/b"]),
        ("application=shop&names=list/a&names=list%2Fc", ["list/a", "list/c"]),
        ('application=shop&contains={"name":"list/b"}', ["list/b"]),
        ('application=shop&json_path=$.name == "list/a"&view=CONFIGURATION_VIEW_BASIC', ["list/a"]),
        ("application=shop&name_prefix=list/&as_of_time=2000-01-01T00:00:00Z", None),
        ("application=shop&name_prefix=list/&latest=true&show_deleted=false&format=1", ["list/a", "list/b", "list/c"]),
        ("application.name=shop&name_prefix=list/&schema=none", None),
    ):
        response = await web.get(ALL, params=query)
        found = [one["name"] for one in response.json().get("configurations", [])]
        assert found == (expected or []), (query, response.text)


async def test_parameters_of_exports_and_audits_have_short_names_too(web: httpx.AsyncClient) -> None:
    await put(web, "short/a")
    response = await web.get(f"{ALL}:export?application=shop&name_prefix=short/")
    (line,) = response.text.splitlines()
    assert [item["name"] for item in json.loads(line)["items"]] == ["short/a"]
    response = await web.get("/api/v1/changes?application=shop&resource_name=short/a&kind=RESOURCE_KIND_CONFIGURATION")
    assert response.status_code == 200, response.text
    assert response.json()["changes"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("nonsense=1", ["nonsense"]),
        ("a=1&page_size=x&b.c=2", ["a", "b.c"]),
        ("page_size=1&page_size=1", ["page_size"]),
        ("pageSize=1&page_size=1", ["page_size"]),
        ("page_size=1.5&view=BLUE&latest=yes&as_of_time=now", ["page_size", "view", "latest"]),
        ("page_size=2147483648", ["page_size"]),
        ("min_revision=9223372036854775808", ["min_revision"]),
        ("min_revision=", ["min_revision"]),
        ("min_revision=1&latest=true", ["latest"]),
        ("as_of_time=2026-01-01", ["as_of_time"]),
        ("selector=x", ["selector"]),
        ("selector.application.id=x&application=shop", ["selector.application.name"]),
        ("name_prefix=a&selector.name_prefix=b", ["selector.name_prefix"]),
    ],
)
async def test_parameters_that_do_not_fit_are_refused_by_name(
    web: httpx.AsyncClient, query: str, fields: list[str]
) -> None:
    response = await web.get(f"{ALL}?{query}")
    if fields[0] in ("latest", "page_size") and len(fields) > 1:
        assert set(fields) <= set(fields_in(response))
    else:
        assert fields_in(response) == fields
    unknown = fields[0] in ("nonsense", "a", "selector")
    assert reason_in(response) == ("UNSUPPORTED_FIELD" if unknown else "INVALID_REQUEST")


# Bodies


@pytest.mark.parametrize(
    ("body", "fields", "reason"),
    [
        ('{"name":1,"config":{}}', ["name"], "INVALID_REQUEST"),
        ('{"name":"a","config":{},"nme":1,"schema":{"x":1}}', ["nme", "schema.x"], "UNSUPPORTED_FIELD"),
        ('{"name":"a","name":"b"}', ["name"], "INVALID_REQUEST"),
        ('{"request_id":"a","requestId":"a"}', ["requestId"], "INVALID_REQUEST"),
        ('{"config":{},"config":{}}', ["config"], "INVALID_REQUEST"),
        ('{"config":{},"config_json":"{}"}', ["config"], "INVALID_REQUEST"),
        ('{"name":["a"],"schema":[],"validate_only":"true","format":"JSON","reason":{}}',
         ["name", "schema", "validate_only", "format", "reason"], "INVALID_REQUEST"),
        ('{"schema":{"version":1.5}}', ["schema.version"], "INVALID_REQUEST"),
        ('{"schema":{"version":true}}', ["schema.version"], "INVALID_REQUEST"),
        ('{"schema":{"version":1e400}}', ["schema.version"], "INVALID_REQUEST"),
        ('{"schema":{"version":"9223372036854775808"}}', ["schema.version"], "INVALID_REQUEST"),
        ('{"schema":{"version":NaN}}', ["schema.version"], "INVALID_REQUEST"),
        ('{"name":"\\ud800"}', ["name"], "INVALID_REQUEST"),
        ('{"application":{"name":"b"}}', ["application.name"], "INVALID_REQUEST"),
        ("[]", ["body"], "INVALID_REQUEST"),
        ("null", ["body"], "INVALID_REQUEST"),
        ('"a"', ["body"], "INVALID_REQUEST"),
        ('{"name":"a"', ["body"], "INVALID_REQUEST"),
        ('{"name":"a",}', ["body"], "INVALID_REQUEST"),
        ('{"name" "a"}', ["body"], "INVALID_REQUEST"),
        ('{"name":}', ["body"], "INVALID_REQUEST"),
        ('{"name":"a"} x', ["body"], "INVALID_REQUEST"),
        ('{name:"a"}', ["body"], "INVALID_REQUEST"),
        ('{"name":"a\nb"}', ["body"], "INVALID_REQUEST"),
        ('{"x":' + "[" * 100_000 + "]" * 100_000 + "}", ["body"], "INVALID_REQUEST"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
async def test_a_body_that_does_not_fit_is_refused_with_the_paths_of_its_faults(
    web: httpx.AsyncClient, body: str, fields: list[str], reason: str
) -> None:
    response = await web.post(NEW, content=body, headers=JSON)
    assert (fields_in(response), reason_in(response)) == (fields, reason), response.text


async def test_items_of_lists_are_named_by_their_index(web: httpx.AsyncClient) -> None:
    body = {"writes": [{"create": {"name": "a", "config": {}}}, {"create": {"nme": 1}}, 3], "preconditions": {}}
    response = await web.post(f"{ALL}:batchWrite", json=body)
    assert (fields_in(response), reason_in(response)) == (["writes[1].create.nme"], "UNSUPPORTED_FIELD")
    del body["writes"][1]  # pyright: ignore[reportIndexIssue]
    response = await web.post(f"{ALL}:batchWrite", json=body)
    assert fields_in(response) == ["writes[1]", "preconditions"]


async def test_a_body_that_is_not_utf_8_or_too_large_is_refused(web: httpx.AsyncClient) -> None:
    response = await web.post(NEW, content=b'{"name":"\xff"}', headers=JSON)
    assert violations_in(response) == [("body", "is not UTF-8")]
    for content in (b" " * (4 * 1024 * 1024 + 1), _chunks()):
        response = await web.post(NEW, content=content, headers=JSON)
        assert violations_in(response) == [("body", "has more than 4194304 bytes")]


async def _chunks() -> AsyncGenerator[bytes]:
    for _ in range(65):
        yield b" " * 65536


async def test_a_read_and_a_deletion_have_no_body(web: httpx.AsyncClient) -> None:
    for verb in ("GET", "DELETE"):
        assert fields_in(await web.request(verb, f"{NEW}/web", content="{}")) == ["body"]


async def test_hundred_faults_are_listed_and_the_others_counted(web: httpx.AsyncClient) -> None:
    response = await web.post(NEW, content=json.dumps({f"field{n}": n for n in range(150)}), headers=JSON)
    found = len(fields_in(response))
    assert 0 < found <= 100
    assert f"and {150 - found} more" in status_in(response).message


HUGE = "1e1000000000000000000"
HALF = "\\ud800"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (f'{{"zz":{HUGE}}}', ["zz"]),
        (f'{{"zz":[{{"a":-{HUGE}}}]}}', ["zz"]),
        (f'{{"schema":{{"version":{HUGE}}}}}', ["schema.version"]),
        (f'{{"schema":{{"version":0.{"1" * 30}e-1{"0" * 30}}}}}', ["schema.version"]),
        (f'{{"name":{HUGE}}}', ["name"]),
        (f'{{"{HALF}":1}}', ["\\ud800"]),
        (f'{{"schema":{{"a{HALF}":1}}}}', ["schema.a\\ud800"]),
        (f'{{"schema":{{"schema":{{"{HALF}":1}}}}}}', ["schema.schema"]),
        (f'{{"{HALF}":1,"{HALF}":2}}', ["\\ud800"]),
        (f'{{"format":"{HALF}"}}', ["format"]),
        (f'{{"schema":"{HALF}"}}', ["schema"]),
        (f'{{"zz":{{"{HALF}":1,"{HALF}":2}}}}', ["body"]),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_huge_exponents_and_half_characters_are_faults_of_the_body(
    web: httpx.AsyncClient, body: str, fields: list[str]
) -> None:
    response = await web.post(NEW, content=body, headers=JSON)
    assert sorted(set(fields_in(response))) == fields, response.text


@pytest.mark.parametrize("member", ["page_size", "min_revision", "page_token", "as_of_time", "names", "selector"])
async def test_a_huge_exponent_fits_no_field(web: httpx.AsyncClient, member: str) -> None:
    response = await web.post(f"{ALL}:list", content=f'{{"{member}":{HUGE}}}', headers=JSON)
    assert fields_in(response) == [member]


async def test_a_huge_exponent_in_a_line_of_an_import_is_named_with_its_line(web: httpx.AsyncClient) -> None:
    lines = f'{{}}\n{{"zz":{HUGE}}}\n'
    response = await web.post(f"{ALL}:import", content=lines, headers={"content-type": "application/x-ndjson"})
    assert fields_in(response)[-1] == "line 2: zz"


@pytest.mark.parametrize("value", ["null", '"x"', "{}", "1", "false"])
async def test_a_list_is_refused_if_the_body_has_something_else_for_a_parameter(
    web: httpx.AsyncClient, value: str
) -> None:
    expected = [("names", "is both in the body and a parameter")]
    response = await web.post(f"{ALL}:list?names=a", content=f'{{"selector":{{"names":{value}}}}}', headers=JSON)
    assert violations_in(response)[:1] == expected
    response = await web.post(f"{ALL}:watch?names=a", content=f'{{"selectors":[{{"names":{value}}}]}}', headers=JSON)
    assert violations_in(response)[:1] == expected


async def test_a_repeated_member_among_many_is_found_in_one_pass(web: httpx.AsyncClient) -> None:
    # In quadratic time, this takes minutes.
    members = ",".join(f'"{n}":0' for n in (*range(250_000), 249_999))
    async with asyncio.timeout(LIMIT_SECONDS):
        response = await web.post(NEW, content=f'{{"zz":{{{members}}}}}', headers=JSON)
    assert violations_in(response) == [("body", "is not JSON: the member '249999' is there more than once")]


async def test_half_a_character_in_the_key_of_a_map_is_a_fault_of_the_body(web: httpx.AsyncClient) -> None:
    body = f'{{"instance":{{"id":"a","labels":{{"{HALF}":"x"}}}}}}'
    response = await web.post(f"{ALL}:watch", content=body, headers=JSON)
    assert fields_in(response) == ["instance.labels[\\ud800]"]


@pytest.mark.parametrize("body", [{"writes": [1] * 150}, {"writes": [{"create": {"name": 1}}] * 150}])
async def test_items_that_do_not_fit_are_all_counted(web: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await web.post(f"{ALL}:batchWrite", json=body)
    assert f"and {150 - len(fields_in(response))} more" in status_in(response).message


async def test_other_calls_are_answered_while_a_large_body_is_read(web: httpx.AsyncClient) -> None:
    body = f'{{"writes":[{",".join(["1"] * 1_000_000)}]}}'
    large = asyncio.create_task(web.post(f"{ALL}:batchWrite", content=body, headers=JSON))
    answered = 0
    while not large.done():
        assert (await web.get("/health/live")).status_code == 200
        answered += is_reading()
    assert answered
    assert fields_in(await large)[:2] == ["writes[0]", "writes[1]"]


def is_reading() -> bool:
    """Return whether another thread of this process reads JSON now."""
    frames = (frame for first in sys._current_frames().values() for frame, _ in traceback.walk_stack(first))
    return any(frame.f_code.co_filename == json_reader.__file__ for frame in frames)
