"""`make audit`: no success without an audit."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.sh"


@pytest.mark.parametrize(
    ("pip_audit", "code", "told"),
    [
        ("echo 'No known vulnerabilities found' >&2", 0, "No known vulnerabilities found"),
        ("echo 'asyncpg 0.1 CVE-1' > \"$report\"; exit 1", 1, "asyncpg 0.1 CVE-1"),
        ("echo Traceback >&2; echo 'ConnectionError: the index' >&2; exit 1", 2, "audit: nothing was checked"),
        ("exit 127", 2, "audit: nothing was checked"),
    ],
)
def test_an_audit_that_could_not_be_done_fails_and_says_so_in_one_line(
    tmp_path: Path, pip_audit: str, code: int, told: str
) -> None:
    stand_in = tmp_path / "pip-audit"
    find_report = 'while [ "$1" != --output ]; do shift; done; report=$2'
    stand_in.write_text(f"#!/bin/sh\n{find_report}\n{pip_audit}\n", encoding="utf-8")
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, told in ended.stdout + ended.stderr) == (code, True)
    if code == 2:
        assert ended.stderr.count("\n") == 1
