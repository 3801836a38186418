"""Addresses that the service refuses to open to others, and settings that contradict each other."""

from contextlib import nullcontext
from typing import Any

import pytest

from configsvc.process.exposure import check_exposure
from configsvc.process.startup import StartError
from tests.service import settings_of

OPEN = "0.0.0.0:50051"
LOOPBACK = "127.0.0.1:50051"
SOCKET = "unix:/run/configsvc.sock"
TLS = {"tls_certificate_file": "server.pem", "tls_key_file": "server-key.pem"}
OIDC = {"auth": "oidc", "oidc_issuer": "https://login.example.com"}
MTLS = TLS | {"tls_client_ca_file": "authorities.pem"}


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"listen": OPEN}, "there is no authentication.* CONFIGSVC_AUTH"),
        # TLS alone is no access control.
        ({"listen": OPEN} | TLS, "there is no authentication"),
        ({"listen": LOOPBACK}, None),
        ({"listen": SOCKET}, None),
        ({"listen": OPEN, "insecure": True}, None),
        ({"listen": OPEN} | OIDC, "tokens would be sent in clear text.* CONFIGSVC_TLS_CERTIFICATE_FILE"),
        ({"listen": OPEN, "insecure": True} | OIDC, None),
        ({"listen": LOOPBACK} | OIDC, None),
        ({"listen": OPEN} | OIDC | TLS, None),
        ({"listen": OPEN, "auth": "mtls"} | MTLS, None),
        ({"listen": LOOPBACK, "auth": "mtls"}, "client certificates require TLS: set CONFIGSVC_TLS_CERTIFICATE_FILE"),
        ({"auth": "mtls", "insecure": True}, "client certificates require TLS"),
        ({"auth": "mtls"} | TLS, "CONFIGSVC_TLS_CLIENT_CA_FILE"),
        ({"auth": "oidc"} | MTLS, "CONFIGSVC_TLS_CLIENT_CA_FILE requires client certificates"),
        ({"tls_certificate_file": "server.pem"}, "TLS needs both a certificate and its key"),
        ({"tls_key_file": "server-key.pem"}, "TLS needs both a certificate and its key"),
        ({"auth": "oidc,mtls"} | MTLS, "CONFIGSVC_MTLS_LISTEN"),
        (OIDC | {"auth": "mtls,oidc", "listen": OPEN, "mtls_listen": "0.0.0.0:50052"} | MTLS, None),
        ({"auth": "mtls", "mtls_listen": OPEN} | MTLS, "CONFIGSVC_MTLS_LISTEN"),
        ({"http_listen": OPEN}, "there is no authentication.* CONFIGSVC_AUTH"),
        ({"http_listen": OPEN} | TLS, "there is no authentication"),
        ({"http_listen": "[::]:50080"}, "there is no authentication"),
        ({"http_listen": "localhost:50080"}, None),
        ({"http_listen": "[::1]:50080"}, None),
        ({"http_listen": OPEN, "insecure": True}, None),
        ({"http_listen": OPEN} | OIDC, "tokens would be sent in clear text.* CONFIGSVC_TLS_CERTIFICATE_FILE"),
        ({"http_listen": OPEN} | OIDC | TLS, None),
        ({"http_listen": OPEN, "auth": "mtls"} | MTLS, None),
        ({"cors_origins": "https://console.example.com"}, "CONFIGSVC_HTTP_LISTEN"),
        ({"cors_origins": "https://console.example.com", "http_listen": LOOPBACK}, None),
        ({"redis_url": "redis://localhost", "cache_megabytes": 0}, "CONFIGSVC_CACHE_MEGABYTES"),
        ({"redis_url": "redis://localhost"}, None),
        ({"metrics_listen": "0.0.0.0:9464"}, "metrics have no authentication"),
        ({"auth": "mtls", "metrics_listen": "0.0.0.0:9464"} | MTLS, "metrics have no authentication"),
    ],
)
def test_nothing_is_open_by_accident(settings: dict[str, Any], refusal: str | None) -> None:
    with pytest.raises(StartError, match=refusal) if refusal else nullcontext():
        check_exposure(settings_of(**settings))
