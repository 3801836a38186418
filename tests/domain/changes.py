"""Changes of configurations, and selections of them."""

from datetime import UTC, datetime

from configsvc.domain.models import Configuration, ConfigurationChange, IdRef, NameRef, Operation
from configsvc.domain.scope import Everything
from configsvc.domain.selection import Selection, Selector

NOW = datetime(2024, 1, 1, tzinfo=UTC)


EVERYTHING = Selection(selectors=(), scope=Everything())


def selector(application: IdRef | NameRef | None = None, *, prefix: str = "", keys: tuple[str, ...] = ()) -> Selector:
    return Selector(application=application, name_prefix=prefix, names=frozenset(keys))


def change(
    operation: Operation,
    *,
    before: tuple[str, str] = ("shop", "web"),
    after: tuple[str, str] = ("shop", "web"),
) -> ConfigurationChange:
    """Return a change of a configuration, given by application and name; an application's id is its name and a mark."""
    configuration = Configuration(
        id="c",
        application_id=f"#{after[0]}",
        application=after[0],
        name=after[1],
        comments="",
        config=None,
        schema=None,
        version=2,
        revision=2,
        create_time=NOW,
        update_time=NOW,
        created_by="",
        updated_by="",
    )
    return ConfigurationChange(
        operation=operation,
        configuration=configuration,
        config_text="{}",
        content_bytes=0,
        previous_version=1,
        previous_application_id=f"#{before[0]}",
        previous_application=before[0],
        previous_name=before[1],
        actor="",
        reason="",
        request_id="",
        change_request="",
    )
