"""Callers named by client certificates."""

import pytest
from cryptography import x509

from configsvc.domain.access import Authentication
from configsvc.domain.errors import UnauthenticatedError
from configsvc.identity.client_certificates import Certificates
from tests.identity.authorities import Authority, uri

AUTHORITY = Authority()
DNS = x509.DNSName("billing.example")
EMAIL = x509.RFC822Name("alice@example.org")


@pytest.mark.parametrize(
    ("names", "principal"),
    [
        ([EMAIL, DNS, uri("spiffe://example.org/billing")], "certificate:spiffe://example.org/billing"),
        ([EMAIL, DNS], "certificate:billing.example"),
        ([EMAIL], "certificate:alice@example.org"),
    ],
)
def test_a_certificate_names_its_uri_else_its_dns_name_else_its_address(
    names: list[x509.GeneralName], principal: str
) -> None:
    identity = Certificates().identify(AUTHORITY.pair(*names, common_name="root").certificate)
    assert (identity.principal, identity.groups) == (principal, frozenset())
    assert identity.authentication is Authentication.MTLS


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ([], "common name is ignored"),
        ([x509.DirectoryName(x509.Name([]))], "neither a URI nor"),
        ([uri("spiffe://example.org/a"), uri("spiffe://example.org/b")], "more than one URI"),
        ([DNS, x509.DNSName("other.example")], "more than one DNS name"),
        ([uri("billing.example")], "certificate's URI is not valid"),
        ([x509.DNSName("spiffe://example.org/root")], "certificate's DNS name is not valid"),
        ([x509.DNSName("root.example\0.evil.example")], "is not valid"),
        ([x509.RFC822Name("mailto:alice@example.org")], "is not valid"),
        ([uri("urn:" + "x" * 512)], "is not valid"),
    ],
)
def test_a_certificate_that_names_nobody_for_sure_is_refused(names: list[x509.GeneralName], why: str) -> None:
    pair = AUTHORITY.pair(*names, common_name="spiffe://example.org/root")
    with pytest.raises(UnauthenticatedError, match=why):
        Certificates().identify(pair.certificate)


def test_a_certificate_is_good_until_it_expires() -> None:
    certificates = Certificates()
    pair = AUTHORITY.pair(DNS)
    identity = certificates.identify(pair.certificate)
    assert certificates.known(pair.certificate) is identity
    expires = x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc
    assert identity.expires == expires.timestamp()


def test_an_expired_certificate_is_refused_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates()
    pair = AUTHORITY.pair(DNS)
    expires = certificates.identify(pair.certificate).expires
    monkeypatch.setattr("configsvc.identity.client_certificates.time.time", lambda: expires)
    assert certificates.known(pair.certificate) is None
    with pytest.raises(UnauthenticatedError, match="has expired"):
        certificates.identify(pair.certificate)


def test_no_more_than_so_many_certificates_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.identity.client_certificates.REMEMBERED_CERTIFICATES", 2)
    certificates = Certificates()
    pems = [AUTHORITY.pair(DNS).certificate for _ in range(3)]
    for pem in pems:
        certificates.identify(pem)
    assert [certificates.known(pem) is not None for pem in pems] == [False, True, True]
