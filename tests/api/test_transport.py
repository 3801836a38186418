"""The API knows no transport: its modules load, and answer, without gRPC."""

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules["grpc"] = None
import configsvc.api
for module in pkgutil.iter_modules(configsvc.api.__path__, "configsvc.api."):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_every_module_of_the_api_loads_without_grpc() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert {"configsvc.api.configurations", "configsvc.api.methods", "configsvc.api.statuses"} <= {*run.stdout.split()}
