"""Scopes of callers: required arguments, never defaults."""

import json
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from configsvc.domain.audit import ChangeFilter
from configsvc.domain.models import ConfigurationFilter, ConfigurationQuery, WriteContext
from configsvc.domain.operations import ImportOptions, ImportSettings
from configsvc.domain.scope import Everything, Only
from configsvc.domain.selection import Selection

SCOPED = (ChangeFilter, ConfigurationFilter, ConfigurationQuery, ImportSettings, Selection, WriteContext)
ROOT = Path(__file__).parents[2]


def test_everything_includes_every_application_and_only_its_own() -> None:
    assert Everything().includes("a")
    assert Everything().ids is None
    assert Only(frozenset({"a"})).includes("a")
    assert not Only(frozenset({"a"})).includes("b")
    assert not Only(frozenset()).includes("a")


@pytest.mark.parametrize("scoped", SCOPED)
def test_no_request_has_a_scope_by_default(scoped: type) -> None:
    (scope,) = [field for field in fields(scoped) if field.name in {"scope", "application_ids"}]
    assert scope.default is MISSING
    assert scope.default_factory is MISSING


def test_a_request_without_a_scope_does_not_type_check(tmp_path: Path) -> None:
    file = tmp_path / "unscoped.py"
    imports = "\n".join(f"from {scoped.__module__} import {scoped.__name__}" for scoped in SCOPED)
    calls = "\n".join(f"{scoped.__name__}()" for scoped in SCOPED)
    file.write_text(f"{imports}\n{calls}\n")
    command = (sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, str(file))
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, cwd=ROOT)
    found = [fault["message"] for fault in json.loads(done.stdout)["generalDiagnostics"]]
    missing = [message for message in found if '"scope"' in message or '"application_ids"' in message]
    assert len(missing) == len(SCOPED), found


def test_the_settings_of_an_import_are_confined_to_its_scope() -> None:
    options = ImportOptions(atomic=True, upsert=False, create_applications=False, validate_only=False)
    assert options.within(Only(frozenset({"b", "a"}))).application_ids == ["a", "b"]
    assert options.within(Everything()).application_ids is None
