"""A check, before the commit of a batch, that its answer will fit into one message: afterwards it would be too late."""

from collections.abc import Sequence

from configsvc.domain.errors import ResponseTooLargeError
from configsvc.domain.models import Configuration
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.storage.database import Connection
from configsvc.writes.execution import load_written
from configsvc.writes.plan import Outcome

# What an outcome takes beside its texts: ids, times, numbers, tags and lengths.
FIXED_BYTES = 256
# The most that an outcome can take, with names, comments, a schema and two principals of the greatest length.
MOST_BYTES = 10 * 1024


async def check_answer(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Check that the configurations, without config, fit into one response. Raises ResponseTooLargeError."""
    if len(outcomes) * MOST_BYTES <= MAX_RESPONSE_BYTES:
        return
    configurations = await load_written(connection, outcomes, with_config=False)
    if sum(map(_answer_bytes, configurations.values())) > MAX_RESPONSE_BYTES:
        raise ResponseTooLargeError(limit=MAX_RESPONSE_BYTES)


def _answer_bytes(configuration: Configuration) -> int:
    texts = (
        configuration.application,
        configuration.name,
        configuration.comments,
        configuration.created_by,
        configuration.updated_by,
        configuration.schema.schema if configuration.schema else "",
    )
    return FIXED_BYTES + sum(len(text.encode()) for text in texts)
