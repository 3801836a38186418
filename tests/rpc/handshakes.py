"""Helpers that connect over TLS."""

import asyncio
import socket
import ssl
import warnings
from contextlib import suppress

import grpc

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from tests.service import LIMIT_SECONDS


def version_spoken(address: str, version: ssl.TLSVersion) -> str | None:
    """Return the TLS version of a connection by a client that speaks only this one and asks for another server name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    # Ciphers that today's OpenSSL does not even offer.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    host, _, port = address.rpartition(":")
    with (
        suppress(ssl.SSLError),
        socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="nobody.example") as secured,
    ):
        return secured.version()
    return None


async def next_message(
    watch: "grpc.aio.UnaryStreamCall[WatchConfigurationsRequest, WatchConfigurationsResponse]",
) -> WatchConfigurationsResponse:
    """Return the next message, after the one that opens the watch."""
    async with asyncio.timeout(LIMIT_SECONDS):
        message = await watch.read()
        while isinstance(message, WatchConfigurationsResponse) and message.HasField("opened"):
            message = await watch.read()
    assert isinstance(message, WatchConfigurationsResponse)
    return message
