"""Measures the service against the limits of its libraries and against etcd. It knows the service by its contract."""

import os

# It would tell of every connection that ends. Read when grpc is imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
