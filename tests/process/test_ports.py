"""The port that workers share: exclusive, whoever else tries to take it."""

import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

from configsvc.process.ports import listening_sockets, shared_port
from configsvc.process.startup import StartError

ADDRESSES = ["127.0.0.1", "[::1]", "localhost", "0.0.0.0", "[::]"]


def port_of(listen: str) -> int:
    return int(listen.rpartition(":")[2])


@contextmanager
def listening(port: int, *, reuse_address: bool = True, reuse_port: bool = False) -> Generator[socket.socket]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse_address)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server


@pytest.mark.parametrize("host", ADDRESSES)
def test_several_servers_can_listen_on_it_and_no_other_can(host: str) -> None:
    with shared_port(f"{host}:0") as listen:
        port = port_of(listen)
        if host != "[::1]":
            with (
                listening(port, reuse_port=True),
                listening(port, reuse_port=True),
                pytest.raises(OSError, match="use"),
            ):
                listening(port).__enter__()
        for taken in (host, "0.0.0.0"):
            with pytest.raises(StartError, match="it is in use"), shared_port(f"{taken}:{port}"):
                pass


@pytest.mark.parametrize("reuse_address", [False, True])
def test_nobody_else_can_take_it_while_no_server_listens(reuse_address: bool) -> None:
    with (
        shared_port("127.0.0.1:0") as listen,
        pytest.raises(OSError, match="use"),
        listening(port_of(listen), reuse_address=reuse_address),
    ):
        pass


def test_nothing_is_accepted_where_no_server_listens() -> None:
    with shared_port("127.0.0.1:0") as listen, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(listen)))


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_where_someone_listens_is_refused(reuse_port: bool) -> None:
    with listening(0, reuse_port=reuse_port) as server:
        listen = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StartError, match=f"cannot listen on {listen}: it is in use"), shared_port(listen):
            pass


@pytest.mark.parametrize("reuse_port", [False, True])
def test_connections_that_a_server_has_closed_are_no_hindrance(reuse_port: bool) -> None:
    with listening(0, reuse_port=reuse_port) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    for _ in range(2):
        with (
            shared_port(f"127.0.0.1:{address[1]}"),
            listening(address[1], reuse_port=True) as server,
            socket.create_connection(address) as client,
        ):
            server.accept()[0].close()
            assert client.recv(1) == b""


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match="not an address of this machine"), shared_port("192.0.2.1:0"):
        pass


def test_port_0_is_another_one_each_time() -> None:
    with shared_port("127.0.0.1:0") as one, shared_port("127.0.0.1:0") as two:
        assert 0 not in {port_of(one), port_of(two)}
        assert one != two


@pytest.mark.parametrize("host", ADDRESSES)
def test_a_connection_sends_each_piece_without_waiting_for_the_client_to_acknowledge_the_one_before(host: str) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in listening_sockets(f"{host}:0", backlog=1, shared=False)]
        stack.enter_context(socket.create_connection(sockets[0].getsockname()[:2]))
        accepted, _ = sockets[0].accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
