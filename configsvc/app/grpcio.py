"""The gRPC server on grpcio, built from the settings."""

from collections.abc import Mapping

from configsvc.api.methods import Methods
from configsvc.app.grpc_servers import addresses
from configsvc.domain.connections import ConnectionRules
from configsvc.process.certificates import CertificateFiles
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError
from configsvc.rpc.server import Address, AddressInUseError, Server, build_server
from configsvc.rpc.tls import server_credentials


def grpcio_server(
    settings: Settings,
    servicers: Mapping[str, object],
    methods: Methods,
    rules: ConnectionRules,
    files: CertificateFiles | None,
) -> Server:
    """Return a server bound to the addresses in the settings. Raises StartError or CertificateError."""
    bound = tuple(
        Address(
            listen=listen, credentials=server_credentials(files, client_certificates=certificates) if files else None
        )
        for listen, certificates in addresses(settings)
    )
    try:
        return build_server(servicers, methods, bound, rules)
    except AddressInUseError as error:
        raise StartError(str(error)) from error
