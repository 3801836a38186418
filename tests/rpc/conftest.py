"""The core of the tests of gRPC on both of its transports; `make test-ngh2` runs the whole suite on one of them."""

import os
from collections.abc import Generator

import pytest

from tests.service import TRANSPORT

BOTH = frozenset(
    f"tests.rpc.{name}"
    for name in ("test_compression", "test_credentials", "test_health", "test_server", "test_server_floods", "test_tls")
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the modules in BOTH on each transport, unless one was chosen for the whole run."""
    if getattr(metafunc.module, "__name__", "") in BOTH:
        chosen = [TRANSPORT] if "CONFIGSVC_TEST_TRANSPORT" in os.environ else ["grpcio", "ngh2"]
        metafunc.parametrize("transport", chosen, scope="module", indirect=True)


@pytest.fixture(scope="module", autouse=True)
def transport(request: pytest.FixtureRequest) -> Generator[str]:
    """Have the services of a module use its transport, and return that."""
    with pytest.MonkeyPatch.context() as patch:
        name: str = getattr(request, "param", TRANSPORT)
        patch.setattr("tests.service.TRANSPORT", name)
        yield name
