"""The address of a client behind trusted proxies, whatever it sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.peers import MAX_HOPS, host_of, trusted_proxies

PROXIES = trusted_proxies("10.0.0.0/8, 2001:db8::/32,192.0.2.1, unix:")
NEAR = "ipv4:10.0.0.1:4711"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # One proxy, and a chain of them.
        (NEAR, ["203.0.113.7"], "ipv4:203.0.113.7"),
        (NEAR, ["203.0.113.7, 10.1.2.3, 192.0.2.1"], "ipv4:203.0.113.7"),
        (NEAR, ["203.0.113.7", "10.1.2.3", "192.0.2.1"], "ipv4:203.0.113.7"),
        ("ipv6:%5B2001:db8::5%5D:4711", ["203.0.113.7"], "ipv4:203.0.113.7"),
        ("ipv4:192.0.2.1:1", ["203.0.113.7"], "ipv4:203.0.113.7"),
        ("unix:", ["203.0.113.7"], "ipv4:203.0.113.7"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4711", ["203.0.113.7"], "ipv4:203.0.113.7"),
        # Other ways to write an address.
        (NEAR, [" \t203.0.113.7 \t"], "ipv4:203.0.113.7"),
        (NEAR, ["203.0.113.7:55123"], "ipv4:203.0.113.7"),
        (NEAR, ["2001:db9::7"], "ipv6:%5B2001:db9::7%5D"),
        (NEAR, ["[2001:db9::7]"], "ipv6:%5B2001:db9::7%5D"),
        (NEAR, ["[2001:DB9:0:0::7]:55123"], "ipv6:%5B2001:db9::7%5D"),
        (NEAR, ["::ffff:203.0.113.7"], "ipv4:203.0.113.7"),
        # The client wrote some of it: nothing before the last address that is no proxy's counts.
        (NEAR, ["10.9.9.9, 203.0.113.7"], "ipv4:203.0.113.7"),
        (NEAR, ["198.51.100.1, 203.0.113.7, 10.1.2.3"], "ipv4:203.0.113.7"),
        (NEAR, ["198.51.100.1", "203.0.113.7"], "ipv4:203.0.113.7"),
        (NEAR, ["user:admin, 203.0.113.7"], "ipv4:203.0.113.7"),
        # Nothing behind an unreadable address counts.
        (NEAR, ["198.51.100.1, unknown, 10.1.2.3"], "ipv4:10.1.2.3"),
        (NEAR, ["198.51.100.1, _hidden"], NEAR),
        (NEAR, ["198.51.100.1,"], NEAR),
        (NEAR, [""], NEAR),
        (NEAR, [], NEAR),
        (NEAR, ["203.0.113.999"], NEAR),
        (NEAR, ["010.0.0.1"], NEAR),
        (NEAR, ["203.0.113.7%00"], NEAR),
        (NEAR, ["fe80::1%eth0"], NEAR),
        (NEAR, ["٢٠٣.0.113.7"], NEAR),
        (NEAR, ["ipv4:203.0.113.7"], NEAR),
        # A call that begins at a proxy.
        (NEAR, ["10.1.2.3"], "ipv4:10.1.2.3"),
        # Of a peer that is no proxy, nothing counts.
        ("ipv4:203.0.113.7:4711", ["198.51.100.1"], "ipv4:203.0.113.7:4711"),
        ("ipv4:11.0.0.1:4711", ["198.51.100.1"], "ipv4:11.0.0.1:4711"),
        ("ipv6:%5B2001:db9::5%5D:4711", ["198.51.100.1"], "ipv6:%5B2001:db9::5%5D:4711"),
        ("", ["198.51.100.1"], ""),
        ("vsock:2:1", ["198.51.100.1"], "vsock:2:1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxys(peer: str, forwarded: list[str], client: str) -> None:
    assert PROXIES.client_of(peer, forwarded) == client


@pytest.mark.parametrize("peer", [NEAR, "ipv6:%5B::1%5D:4711", "unix:"])
def test_nobody_is_trusted_unless_set(peer: str) -> None:
    nobody = trusted_proxies("")
    assert not nobody
    assert nobody.client_of(peer, ["203.0.113.7"]) == peer


def test_unix_sockets_alone_can_be_trusted() -> None:
    proxies = trusted_proxies("unix:")
    assert proxies.client_of("unix:", ["203.0.113.7"]) == "ipv4:203.0.113.7"
    assert proxies.client_of(NEAR, ["203.0.113.7"]) == NEAR


def test_an_endless_chain_is_read_no_further_than_so_many_addresses() -> None:
    assert PROXIES.client_of(NEAR, ["203.0.113.7" + ", 10.0.0.2" * MAX_HOPS]) == "ipv4:10.0.0.2"
    assert PROXIES.client_of(NEAR, ["203.0.113.7" + ", 10.0.0.2" * (MAX_HOPS - 1)]) == "ipv4:203.0.113.7"
    assert PROXIES.client_of(NEAR, ["203.0.113.7", *["10.0.0.2"] * MAX_HOPS]) == "ipv4:10.0.0.2"


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=4),
    st.ip_addresses(v=4).filter(lambda address: str(address) != "127.0.0.1"),
)
def test_whatever_a_client_sends_the_address_that_the_proxy_saw_counts(sent: list[str], seen: object) -> None:
    proxies = trusted_proxies("127.0.0.1")
    client = proxies.client_of("ipv4:127.0.0.1:1", [", ".join([*sent, str(seen)])])
    assert client == proxies.client_of("ipv4:127.0.0.1:1", [str(seen)])


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "10.0.0", "proxy.example", "0.0.0.0/0", "::/0", "unix:/run/x", "10.0.0.1:80"]
)
def test_an_entry_that_is_no_network_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must be|contains all addresses") as caught:
        trusted_proxies(f"10.0.0.1, {entry}")
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.1:4711", "ipv4:10.0.0.1"),
        ("ipv4:10.0.0.1", "ipv4:10.0.0.1"),
        ("ipv6:%5B::1%5D:4711", "ipv6:%5B::1%5D"),
        ("ipv6:%5B2001:db8::1%5D", "ipv6:%5B2001:db8::1%5D"),
        ("unix:", "unix:"),
    ],
)
def test_the_host_of_a_peer_has_no_port(peer: str, host: str) -> None:
    assert host_of(peer) == host
