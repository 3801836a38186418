"""What the contract leaves open, so that it can grow: other kinds of principals, and finer times."""

from google.protobuf.timestamp_pb2 import Timestamp

from configapi.v1.audit_service_pb2 import ListChangesRequest
from tests.api.calls import Connection, create
from tests.service import Service


async def test_an_actor_of_a_kind_that_is_not_known_is_kept_as_text(shop: Service, psql: Connection) -> None:
    await create(shop, "web")
    actor = "workload:cluster/payments"
    await psql.execute("SET session_replication_role = replica")
    await psql.execute("UPDATE change_records SET actor = $1 WHERE name = 'web'", actor)
    found = await shop.audit.ListChanges(ListChangesRequest(actor=actor))
    assert [(change.name, change.origin.actor) for change in found.changes] == [("web", actor)]


async def test_what_is_finer_than_a_microsecond_is_cut_off(shop: Service) -> None:
    await create(shop, "web")
    (change,) = (await shop.audit.ListChanges(ListChangesRequest(resource_name="web"))).changes
    time = change.origin.commit_time
    finer = Timestamp(seconds=time.seconds, nanos=time.nanos + 999)
    from_then = await shop.audit.ListChanges(ListChangesRequest(resource_name="web", start_time=finer))
    before_then = await shop.audit.ListChanges(ListChangesRequest(resource_name="web", end_time=finer))
    assert (len(from_then.changes), len(before_then.changes)) == (1, 0)
    assert time.nanos % 1000 == 0
