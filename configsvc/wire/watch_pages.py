"""Page tokens of long polling: where a snapshot or a commit goes on that does not fit into one answer."""

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.domain.commits import Position, position_after
from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.domain.scope import Scope
from configsvc.domain.watching import Place, RestOfCommit, RestOfSnapshot
from configsvc.wire.fingerprints import fingerprint
from configsvc.wire.moments import MAX_EPOCH_LENGTH
from configsvc.wire.watch_requests import MAX_SELECTORS

# What may differ between the pages: the rest decides what is sent.
_NOT_BOUND = ("resume_token", "history", "snapshot", "progress_interval", "instance")

_Number = Annotated[int, Field(ge=0, lt=2**63)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{0,256}$")]


class _Token(BaseModel):
    """A place, and the number of events after it that the client has. `selector`: None inside a commit."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    epoch: Annotated[str, Field(max_length=MAX_EPOCH_LENGTH)]
    revision: _Number
    ordinal: _Number
    selector: Annotated[int, Field(ge=0, lt=MAX_SELECTORS)] | None
    after: list[_Name]
    skipped: _Number
    digest: str


def watch_page_token(request: WatchConfigurationsRequest, scope: Scope, place: Place, skipped: int) -> str:
    """Return the token with which the same request goes on: after so many events from the place."""
    selector, after = None, ()
    match place:
        case RestOfSnapshot(revision=revision, selector=selector, after=after):
            position = Position(revision, 0)
        case RestOfCommit(position=position):
            pass
        case _:
            position = position_after(place.revision)
    token = _Token(
        epoch=place.epoch,
        revision=position.revision,
        ordinal=position.ordinal,
        selector=selector,
        after=list(after),
        skipped=skipped,
        digest="",
    )
    token = token.model_copy(update={"digest": _digest(request, scope, token)})
    return base64.urlsafe_b64encode(token.model_dump_json().encode()).decode()


def parsed_watch_page_token(
    request: WatchConfigurationsRequest, scope: Scope, text: str
) -> tuple[RestOfSnapshot | RestOfCommit, int]:
    """Return the place and the number of events from there that the client has. Raises InvalidRequestError."""
    if request.WhichOneof("start"):
        raise _refused("is a start of its own: leave out resume_token, history and snapshot")
    try:
        token = _Token.model_validate_json(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, ValidationError) as error:
        raise _refused("is not a page token of this service") from error
    if token.digest != _digest(request, scope, token):
        raise _refused("belongs to another request, or your roles have changed: begin anew without it")
    if token.selector is None:
        return RestOfCommit(epoch=token.epoch, position=Position(token.revision, token.ordinal)), token.skipped
    after = tuple(token.after)
    rest = RestOfSnapshot(epoch=token.epoch, revision=token.revision, selector=token.selector, after=after)
    return rest, token.skipped


def _refused(description: str) -> InvalidRequestError:
    return InvalidRequestError((Violation(field="page_token", description=description),))


def _digest(request: WatchConfigurationsRequest, scope: Scope, token: _Token) -> str:
    place = token.model_dump_json(exclude={"digest"})
    applications = "everything" if scope.ids is None else " ".join(sorted(scope.ids))
    return fingerprint(request, without=_NOT_BOUND, salt=f"{place} {applications}").hex()[:32]
