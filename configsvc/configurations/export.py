"""Export of all configurations that a filter matches, page by page."""

from collections.abc import AsyncGenerator, Callable

from configsvc.configurations.use_cases import Configurations, ListPosition
from configsvc.domain.models import Configuration, ConfigurationFilter, Page

# A page stays in memory until its client has read it.
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
    """Yield at least one page of the configurations at a revision (0: the latest). Call `check` before each page.

    No database connection is kept between pages.

    Raises the errors of `Configurations.list_page` and of `check`.
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
