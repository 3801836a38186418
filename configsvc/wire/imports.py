"""Messages of an import. A process of the pool parses them, because they may be many and large.

So this module imports little, and its results are small to send.
"""

import re
from dataclasses import replace
from hashlib import sha256

from ulid import ULID

from configapi.v1.configuration_service_pb2 import (
    IMPORT_MODE_PER_ITEM,
    ConfigurationItem,
    ImportConfigurationsRequest,
    ImportMode,
)
from configsvc.domain.content import add_reserved_members, encode_json
from configsvc.domain.errors import Violation, Violations
from configsvc.domain.models import IdRef
from configsvc.domain.names import (
    MAX_COMMENTS_LENGTH,
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    canonical_request_id,
    check_change_request,
    check_configuration_name,
    check_text,
)
from configsvc.domain.operations import (
    ImportMessage,
    ImportOptions,
    ItemError,
    StagedItem,
    encoded_faults,
    fault_of,
)
from configsvc.wire.expectations import expectation
from configsvc.wire.fields import application_ref, not_one_of
from configsvc.wire.fingerprints import fingerprint
from configsvc.wire.unknown_fields import refuse_unknown_fields
from configsvc.wire.writes import new_pin, required_config

MAX_MESSAGE_ITEMS = 1000


def import_message(data: bytes, digest: bytes, actor: str) -> ImportMessage:
    """Parse a message. `digest` covers the messages before it; empty for the first.

    Raises DecodeError or UnsupportedFieldError.
    """
    request = ImportConfigurationsRequest.FromString(data)
    refuse_unknown_fields(request)
    violations = Violations()
    if len(request.items) > MAX_MESSAGE_ITEMS:
        violations.add("items", f"has {len(request.items)} items: a message has at most {MAX_MESSAGE_ITEMS}")
    settings = fingerprint(request, without=("items", "request_id"), salt=actor)
    if digest and settings != fingerprint(ImportConfigurationsRequest(), without=(), salt=actor):
        violations.add("request", "has settings: only the first message of an import may have them")
    check_text(request.reason, "reason", MAX_REASON_LENGTH, violations)
    if request.mode not in ImportMode.values():
        violations.add("mode", not_one_of(ImportMode.keys(), request.mode))
    check_change_request(request.change_request, "change_request", violations)
    request_id = canonical_request_id(request.request_id, "request_id", violations)
    digest = digest or settings
    for item in request.items:
        digest = sha256(digest + item.SerializeToString(deterministic=True)).digest()
    return ImportMessage(
        options=ImportOptions(
            atomic=request.mode != IMPORT_MODE_PER_ITEM,
            upsert=request.upsert,
            create_applications=request.create_applications,
            validate_only=request.validate_only,
        ),
        reason=request.reason,
        change_request=request.change_request,
        request_id=request_id,
        items=[] if violations else [_staged(item) for item in request.items],
        digest=digest,
        violations=violations.found,
    )


def _staged(item: ConfigurationItem) -> StagedItem:
    violations = Violations()
    ref = application_ref(item.application, "application", violations)
    check_configuration_name(item.name, "name", violations)
    check_text(item.comments, "comments", MAX_COMMENTS_LENGTH, violations)
    config = required_config(item, "", violations).value
    text = encode_json(config)
    add_reserved_members(config, text, item.WhichOneof("content") or "config", violations)
    pin = new_pin(item, "", violations)
    expected = expectation(item, "", violations)
    faults = [fault_of(_of_content(violation)) for violation in violations.found]
    return StagedItem(
        application=_storable(item.application.name),
        application_id=_storable(ref.id) if isinstance(ref, IdRef) else None,
        name=_storable(item.name),
        expected_version=None if faults else expected.version,
        comments="" if faults else item.comments,
        schema=_storable(pin.schema) if pin else None,
        schema_version=pin.version if pin else None,
        configuration_id=str(ULID()),
        config=None if faults else text,
        state="FAILED" if faults else "WAITING",
        error=ItemError.INVALID.value if faults else None,
        faults=encoded_faults(faults),
    )


def _of_content(violation: Violation) -> Violation:
    # What is kept of an item does not say in which form its content came.
    return replace(violation, field=re.sub("^config_json(?=/|$)", "config", violation.field))


def _storable(name: str) -> str:
    # Enough of an invalid name to recognize it.
    return name[:MAX_NAME_LENGTH].replace("\0", "\N{REPLACEMENT CHARACTER}")
