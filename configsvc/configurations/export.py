"""Export of all configurations that a filter matches, page by page."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from configsvc.configurations.use_cases import Configurations
from configsvc.domain.models import Configuration, Page
from configsvc.domain.requests import ConfigurationExport, ConfigurationListing, PageRequest

# A page stays in memory until its client has read it.
PAGE_LIMIT = 1000
PAGE_LIMIT_BYTES = 1024 * 1024


async def exported(
    configurations: Configurations, export: ConfigurationExport, check: Callable[[], None]
) -> AsyncGenerator[Page[Configuration]]:
    """Yield the configurations in pages, at least one; no connection is kept between them. `check` runs before each.

    Raises the errors of `Configurations.list_page` and of `check`.
    """
    first: PageRequest[tuple[str, ...]] = PageRequest(limit=PAGE_LIMIT, revision=None, resource_id=None, after=None)
    listing = ConfigurationListing(
        chosen=export.chosen,
        moment=export.moment,
        with_config=True,
        with_deleted=False,
        page=first,
    )
    while True:
        check()
        page, application_id = await configurations.list_page(listing, limit_bytes=PAGE_LIMIT_BYTES)
        yield page
        if page.last_key is None:
            return
        after = replace(first, revision=page.revision, resource_id=application_id, after=page.last_key)
        listing = replace(listing, page=after)
