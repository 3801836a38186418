"""Behind real proxies, a client gets the same answers on every transport. tests/rpc/test_proxies.py has the rest."""

from pathlib import Path

import pytest

from tests.api.calls import create_application
from tests.robustness.form import IS_LONG
from tests.rpc.real_proxies import KINDS
from tests.rpc.test_proxies import behind
from tests.transports.python_clients import EXPECTED, AioClient, outcomes
from tests.transports.transports import TRANSPORTS, on


@pytest.mark.parametrize("transport", TRANSPORTS if IS_LONG else TRANSPORTS[1:])
@pytest.mark.parametrize("name", KINDS)
async def test_a_client_behind_a_proxy_gets_what_all_others_get(
    name: str, transport: str, database_url: str, tmp_path: Path
) -> None:
    async with behind(name, database_url, tmp_path, **on(transport)) as proxied:
        await create_application(proxied.direct)
        assert await outcomes(AioClient(proxied.through.channel), name) == EXPECTED
