"""Benchmarks of the service, as a client, against the limits of its libraries, etcd and other builds."""

import os

# grpcio logs every closed connection otherwise. It reads the variable at import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# All servers are on this machine, which no proxy can reach.
os.environ.update(no_grpc_proxy="127.0.0.1,localhost")
