"""Environments that hold the wheel and what it requires, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

LIMIT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def configsvc(self) -> Path:
        return self.folder / "bin" / "configsvc"

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a process in it: no path leads to other packages, and no setting is of this machine."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONFIGSVC_", "PYTHONPATH"))}
        return kept | {"PYTHONSAFEPATH": "1"}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )


def environment(folder: Path, wheel: Path, *extras: str) -> Environment:
    """Make an environment of the wheel with these extras. What it requires comes from the packages installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=LIMIT_SECONDS)
    made = Environment(folder=folder)
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--no-config", "--quiet", "--offline", "--no-deps", "--python", made.python]
    subprocess.run([*install, wheel], check=True, timeout=LIMIT_SECONDS)
    (packages,) = folder.glob("lib/python*/site-packages")
    (own,) = packages.glob("configsvc-*.dist-info")
    for required in _required(Distribution.at(own), extras):
        _link(required, packages)
    return made


def _required(root: Distribution, extras: Iterable[str]) -> Iterator[Distribution]:
    """Yield the distributions that the root requires with these extras, directly or not."""
    waiting = [(root, ("", *extras))]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        found, wanted = waiting.pop()
        for requirement in map(Requirement, found.requires or ()):
            key = (requirement.name.lower(), ("", *sorted(requirement.extras)))
            applies = not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in wanted)
            if applies and key not in seen:
                seen.add(key)
                required = distribution(requirement.name)
                yield required
                waiting.append((required, key[1]))


def _link(required: Distribution, packages: Path) -> None:
    for file in required.files or ():
        link = packages / file
        if file.parts[0] != ".." and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(str(required.locate_file(file))))
