"""Application of plans: everything is checked before anything changes; then schemas, then one commit an application."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.planning import Plan, PlanOptions

if TYPE_CHECKING:
    from configsvc.cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of an application. `revision` is that of its last commit; 0 if nothing was to change."""

    plan: Plan
    revision: int


def run(session: "Session", directory: Path, commit: Commit, options: PlanOptions) -> Result:
    """Plan and apply a tree, without questions. With session.dry_run, nothing changes. Raises CliError."""
    raise NotImplementedError
