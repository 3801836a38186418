"""A plugin of pytest, loaded wherever this package is installed."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from configsvc.client.testing import FakeConfigs


@pytest.fixture
def fake_configs() -> "Iterator[FakeConfigs]":
    """Yield configurations that the test sets; there are none yet."""
    # Imported here: pytest loads plugins in every run.
    from configsvc.client.testing import FakeConfigs  # noqa: PLC0415

    with FakeConfigs({}) as configs:
        yield configs
