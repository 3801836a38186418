"""The revision that a moment means."""

from configsvc.domain.errors import RevisionUnknownError
from configsvc.domain.models import AtRevision, AtTime, Moment, Now
from configsvc.storage import history, log
from configsvc.storage.database import Connection


async def revision_of(connection: Connection, moment: Moment) -> int | None:
    """Return the revision whose state is wanted; None: the current state, which this connection reads as the latest.

    Raises RevisionUnknownError.
    """
    match moment:
        case Now(min_revision=revision):
            await log.require_revision(connection, revision)
            return None
        case AtRevision(revision=revision):
            return revision
        case AtTime(time=time):
            revision, now = await history.revision_at(connection, time)
            if time > now:
                raise RevisionUnknownError(time=time, head=revision)
            return revision
