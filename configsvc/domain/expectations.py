"""What a caller expects of a resource that it changes."""

from dataclasses import dataclass

from configsvc.domain.errors import VersionMismatchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The version that a caller expects (0: the resource does not exist; None: any), and its etag (empty: any)."""

    version: int | None
    etag: str

    def check_version(self, current: int) -> None:
        """Raise VersionMismatchError unless the current version (0: there is none) can be the expected one."""
        if self.version is not None and self.version != current:
            raise VersionMismatchError(expected=self.version, current=current)

    def check_absence(self) -> None:
        """Raise VersionMismatchError if the caller expects a resource that does not exist."""
        self.check_version(0)
        self.check_etag("", 0)

    def check_etag(self, current: str, version: int) -> None:
        """Raise VersionMismatchError unless the etag of the current version can be the expected one."""
        if self.etag and self.etag != current:
            raise VersionMismatchError(expected=None, current=version)
