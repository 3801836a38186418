"""Benchmarks of the service, as a client, against the limits of its libraries, etcd and other builds."""

import os

# grpcio logs every closed connection otherwise. It reads the variable at import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
