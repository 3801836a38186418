"""What tests of permissions make."""

from pathlib import Path

from configsvc.domain.access import Role
from configsvc.limits.slots import connection_turn
from configsvc.operations import queue
from configsvc.storage.database import open_database
from configsvc.writes.transactions import transaction
from tests.access.people import Person, make
from tests.identity.tokens import oidc_settings
from tests.service import running_service
from tests.storage.reading import Session

OWNER = Person(name="owner", role=Role.EDITOR, application="shop")


async def test_an_operation_that_nobody_runs_is_not_taken_up_however_long_a_test_takes(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await make(service, psql, "shop", OWNER)
    # As a call to cancel it leaves it, too.
    for state in ("RUNNING", "CANCELLING"):
        await psql.execute("UPDATE operations SET state = $1, update_time = now() - interval '1 hour'", state)
        async with (
            open_database(database_url, turn=connection_turn) as database,
            database.write() as connection,
            transaction(connection),
        ):
            assert await queue.enqueue_due(connection, f"user:{OWNER.name}") == []
