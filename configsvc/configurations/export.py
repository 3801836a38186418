"""All configurations of a selection, one page after the other."""

from collections.abc import AsyncGenerator, Callable

from configsvc.configurations.use_cases import Configurations, ListPosition
from configsvc.domain.models import Configuration, ConfigurationFilter, Page

# A page is held in memory until its client has taken it.
PAGE_LIMIT = 1000
PAGE_LIMIT_BYTES = 1024 * 1024


async def exported(
    configurations: Configurations,
    chosen: ConfigurationFilter,
    check: Callable[[], None],
    *,
    as_of_revision: int,
    min_revision: int,
) -> AsyncGenerator[Page[Configuration]]:
    """Pages of the configurations as they were at a revision (0: the last), at least one; no connection is held between
    them. check is asked before each.

    Raises what `Configurations.list_page` and check raise.
    """
    position: ListPosition | None = None
    while True:
        check()
        page, application_id = await configurations.list_page(
            chosen,
            min_revision=min_revision,
            as_of_revision=as_of_revision,
            position=position,
            limit=PAGE_LIMIT,
            with_config=True,
            limit_bytes=PAGE_LIMIT_BYTES,
        )
        yield page
        if page.last_key is None:
            return
        application, name = page.last_key
        position = ListPosition(revision=page.revision, application_id=application_id, after=(application, name))
