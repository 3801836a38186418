"""Every path of every RPC means the same: the same answers for the same callers, before anything is looked up."""

from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.access.people import STRANGER, Person, as_, people_of
from tests.access.rpcs import REQUESTS, Named, is_allowed
from tests.api.test_permissions import METHODS, MISSING, OK, OWN, PRESENT, Answer, Matrix, matrix, nameless
from tests.doors.bindings import HttpRequest, requests_of
from tests.doors.outcomes import Outcome, code_of
from tests.service import Door
from tests.storage.reading import Session

# Those that a watch, an export or an upload has are tried by tests/api.
ONCE = [method for method in METHODS if not (method.client_streaming or method.server_streaming)]
PEOPLE = (STRANGER, *people_of(OWN))


async def outcome_of(judges: Matrix, method: MethodDescriptor, request: HttpRequest, person: Person) -> Outcome:
    assert judges.service.http
    try:
        await judges.service.http.send(method, request, as_(person))
    except grpc.aio.AioRpcError as error:
        return error
    return grpc.StatusCode.OK


async def judge(judges: Matrix, method: MethodDescriptor, person: Person, *, by_id: bool) -> int:
    """Send the request for each target to each of the method's paths; return the number of requests."""
    refusals: set[Answer] = set()
    count = 0
    for target in (judges.own, judges.foreign, judges.missing):
        for request in requests_of(method, REQUESTS[method.name](Named(target=target, by_id=by_id))):
            outcome = await outcome_of(judges, method, request, person)
            case = f"{request.verb} {request.target} by {person.name}: {outcome}"
            count += 1
            if is_allowed(method.name, person, target, judges.owners):
                allowed = MISSING if target is judges.missing else PRESENT.get(method.name, OK)
                assert code_of(outcome) in allowed, case
            else:
                assert isinstance(outcome, grpc.aio.AioRpcError), case
                assert outcome.code() is grpc.StatusCode.PERMISSION_DENIED, case
                refusals.add(nameless(outcome, target))
    assert len(refusals) <= 1, (method.name, person, by_id, refusals)
    return count


@pytest.mark.timeout(120)
async def test_no_path_lets_anybody_in_further_than_another_or_tells_what_is_foreign_from_what_is_not_there(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    async with matrix(database_url, Door.HTTP, psql, tmp_path) as judges:
        counts = {
            method.name: [await judge(judges, method, person, by_id=by_id) for by_id in (False, True)]
            for method in ONCE
            for person in PEOPLE
        }
    # Each target by more than one path.
    assert sum(counts["GetConfiguration"]) > 6
