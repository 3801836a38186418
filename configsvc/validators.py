"""The validators of schema versions that this process remembers: compiled once, bounded by number and by memory."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configsvc.domain.compiled_schemas import UnusableSchemaError
from configsvc.domain.errors import InvalidRequestError, ResourceNotFoundError, Violation
from configsvc.domain.models import PinnedVersion
from configsvc.domain.validation import Validator
from configsvc.storage import pins

if TYPE_CHECKING:
    from configsvc.storage.database import Connection

COUNT_LIMIT = 1000
# Of documents as JSON text; what is compiled of them takes several times as much.
BYTES_LIMIT = 16 * 1024 * 1024
# Of one version, with all that it refers to.
DOCUMENTS_LIMIT = 256
DOCUMENTS_BYTES_LIMIT = 8 * 1024 * 1024

ValidatorOrError = Validator | InvalidRequestError | ResourceNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compiled:
    """A validator, and the bytes of its documents."""

    validator: Validator
    bytes: int


class Validators:
    """Remembers the validators used last. Versions never change, so that nothing here is ever out of date."""

    def __init__(self) -> None:
        self.hits = self.misses = self.bytes = 0
        # The one used last is the last.
        self._compiled: OrderedDict[PinnedVersion, Compiled] = OrderedDict()

    def __len__(self) -> int:
        return len(self._compiled)

    async def get(
        self, connection: "Connection", versions: Collection[PinnedVersion]
    ) -> dict[PinnedVersion, ValidatorOrError]:
        """The validators of the versions, or why there is none. The schemas must be held, or not matter when gone."""
        known = {version: self._compiled[version].validator for version in versions if version in self._compiled}
        for version in known:
            self._compiled.move_to_end(version)
        missing = [version for version in versions if version not in known]
        self.hits += len(known)
        self.misses += len(missing)
        return known | await self._load(connection, missing) if missing else dict(known)

    async def _load(
        self, connection: "Connection", missing: Collection[PinnedVersion]
    ) -> dict[PinnedVersion, ValidatorOrError]:
        refs = [version.ref for version in missing]
        found = await pins.documents(connection, refs, limit=DOCUMENTS_LIMIT, limit_bytes=DOCUMENTS_BYTES_LIMIT)
        return {version: self._compile(version, found.get(version.ref)) for version in missing}

    def _compile(self, version: PinnedVersion, found: pins.Documents | None) -> ValidatorOrError:
        if found is None:
            return ResourceNotFoundError("schema version", str(version.ref))
        if found.document is None:
            return _too_large(version)
        try:
            validator = Validator(found.document, found.referenced)
        except UnusableSchemaError as error:
            return _unusable(version, error)
        self._put(version, Compiled(validator=validator, bytes=found.bytes))
        return validator

    def _put(self, version: PinnedVersion, compiled: Compiled) -> None:
        if version not in self._compiled:
            self._compiled[version] = compiled
            self.bytes += compiled.bytes
        while self.bytes > BYTES_LIMIT or len(self._compiled) > COUNT_LIMIT:
            _, oldest = self._compiled.popitem(last=False)
            self.bytes -= oldest.bytes


def _unusable(version: PinnedVersion, error: UnusableSchemaError) -> InvalidRequestError:
    description = f"is pinned to {version.ref}, with which nothing can be validated: {error}"
    return InvalidRequestError((Violation(field="schema", description=description),))


def _too_large(version: PinnedVersion) -> InvalidRequestError:
    description = (
        f"is pinned to {version.ref}, which refers to more than {DOCUMENTS_LIMIT} versions, or to more than "
        f"{DOCUMENTS_BYTES_LIMIT} bytes of them"
    )
    return InvalidRequestError((Violation(field="schema", description=description),))
