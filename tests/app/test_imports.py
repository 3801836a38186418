"""Start-up imports: what only TLS, a provider of identities or HTTP needs is loaded late."""

import subprocess
import sys

LATE = {"cryptography", "joserfc", "httpx", "uvicorn", "httptools"}
LISTED = "import sys, configsvc.cli.server, configsvc.app.assembly; print(*sys.modules)"


def test_a_service_without_tls_and_http_loads_nothing_for_them() -> None:
    shown = subprocess.run([sys.executable, "-c", LISTED], check=True, capture_output=True, text=True, timeout=60)
    assert set(shown.stdout.split()).isdisjoint(LATE)
