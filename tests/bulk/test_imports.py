from tests.api.calls import create_application, names
from tests.bulk.operating import PER_ITEM, imported, item, result_of
from tests.service import Service


async def test_an_atomic_import_is_one_commit(service: Service) -> None:
    await create_application(service)
    operation = await imported(service, *(item(f"c{number}", {"n": number}) for number in range(2500)))
    result = result_of(operation)
    assert (result.done_count, result.created_count, result.failed_count, result.revision) == (2500, 2500, 0, 2)
    assert len(await names(service, page_size=1000)) == 2500


async def test_an_import_by_item_keeps_the_good_ones(service: Service) -> None:
    await create_application(service)
    operation = await imported(service, item("a"), item("bad name"), item("b"), mode=PER_ITEM)
    result = result_of(operation)
    assert (result.done_count, result.created_count, result.failed_count) == (3, 2, 1)
    assert await names(service) == ["a", "b"]
