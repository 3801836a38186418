"""How operations begin: their items are staged as they arrive, and nobody sees them before all are there."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ulid import ULID

from configsvc.domain.errors import InvalidRequestError, ResourceNotFoundError, Violation, WriteTooLargeError
from configsvc.domain.models import WriteContext, Written
from configsvc.domain.operations import BulkOperation, ImportMessage, OperationKind, StagedItem
from configsvc.storage import jobs, operations, requests
from configsvc.writes import Writes, transaction

if TYPE_CHECKING:
    from configsvc.domain.content import JsonObject
    from configsvc.storage.database import Connection, Database

ATOMIC_LIMIT = 100_000
# Sending rows holds the event loop up: a millisecond for so many.
COPY_LIMIT = 250
