"""What the processes of pools import, loaded by the process that they are forked from (tests/conftest.py)."""

import sys
from importlib import import_module

# Those processes keep gRPC out in the same way.
sys.modules["google.longrunning.operations_grpc_pb2"] = None  # pyright: ignore[reportArgumentType]
for name in ("configsvc.validation.checks", "configsvc.validation.pool_tasks", "configsvc.wire.imports"):
    import_module(name)
