"""The commit of Git that a tree is read from."""

from dataclasses import dataclass

from configsvc.cli.sync.state import SourceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The commit of a folder of a repository. `path` is the folder in the repository; empty for the whole of it."""

    repository: str
    commit: str
    path: str = ""
    author: str = ""
    subject: str = ""

    @property
    def source(self) -> SourceId:
        """The source that it is a commit of."""
        return SourceId(repository=self.repository, path=self.path)
