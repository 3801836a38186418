"""The API's independence of the transport, and methods that only parse, authorise, act and answer."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import configsvc.api
from configsvc.rpc.server import SERVICES

BODY_LIMIT_STATEMENTS = 8
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules["grpc"] = None
import configsvc.api
for module in pkgutil.iter_modules(configsvc.api.__path__, "configsvc.api."):
    importlib.import_module(module.name)
    print(module.name)
"""


def servicer_methods() -> Iterator[ast.AsyncFunctionDef]:
    for path in Path(configsvc.api.__path__[0]).glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Servicer"):
                yield from (item for item in node.body if isinstance(item, ast.AsyncFunctionDef))


def test_every_module_of_the_api_loads_without_grpc() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert {"configsvc.api.configurations", "configsvc.api.methods", "configsvc.api.statuses"} <= {*run.stdout.split()}


def test_a_method_of_a_servicer_has_at_most_eight_statements() -> None:
    methods = list(servicer_methods())
    assert {method.name for service in SERVICES for method in service.methods} <= {method.name for method in methods}
    statements = {method.name: sum(isinstance(node, ast.stmt) for node in ast.walk(method)) - 1 for method in methods}
    assert {name: count for name, count in statements.items() if count > BODY_LIMIT_STATEMENTS} == {}
