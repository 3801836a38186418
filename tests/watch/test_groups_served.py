"""A group of watches over the fast transport: clients that read, one that does not, and one that loses its role."""

from contextlib import AsyncExitStack
from pathlib import Path

import grpc

from configsvc.domain.access import Role
from tests.access.people import Person, as_, bind, unbind, until_known
from tests.identity.tokens import oidc_settings
from tests.service import running_service
from tests.storage.reading import Session, application, head
from tests.watch.changing import commit_one_by_one, fill_one_by_one, watching
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded, slowly
from tests.watch.validators import validate

AUDITOR = Person(name="auditor", role=Role.VIEWER)
MEMBERS = 5


async def test_members_of_a_group_and_one_that_does_not_read_get_everything(database_url: str, psql: Session) -> None:
    async with running_service(database_url, transport="ngh2") as service, AsyncExitStack() as stack:
        await application(psql)
        members = [await stack.enter_async_context(recorded(service)) for _ in range(MEMBERS)]
        slow = await stack.enter_async_context(slowly(service))
        while not slow.recording.synced:
            await slow.next()
        await fill_one_by_one(psql, 30)
        await commit_one_by_one(psql, 30)
        last, history = await head(psql), await read_history(database_url)
        for member in members:
            validate(await member.until_revision(last), history)
        while slow.recording.revision < last:
            await slow.next()
        validate(slow.recording, history)


async def test_a_member_that_loses_its_role_gets_nothing_that_is_committed_later(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    async with running_service(database_url, transport="ngh2", **oidc_settings(tmp_path)) as service:
        await application(psql)
        await bind(psql, AUDITOR, None)
        await until_known(service, psql)
        members = [Recorder(service, watching(), metadata=as_(AUDITOR)) for _ in range(MEMBERS)]
        for member in members:
            await member.until_synced()
        await commit_one_by_one(psql, 5)
        revoked = await unbind(psql, AUDITOR)
        await commit_one_by_one(psql, 5, prefix="late")
        for member in members:
            assert (await member.until_error()).code() is grpc.StatusCode.PERMISSION_DENIED
            assert member.recording.revision <= revoked
            assert not [one for one in member.recording.events if one.configuration.name.startswith("late")]
            await member.close()
