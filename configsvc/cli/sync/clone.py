"""A clone of a branch for the agent: a cache, made anew whenever it does not work."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.git import Git, GitError, StoppedError, normalized, read_commit, secrets_of

FETCH_SECONDS = 300.0
# One pack a fetch. Then a new clone takes less than tidying up.
MAX_PACKS = 50
_REF = "refs/heads/source"


def default_folder(repository: str, branch: str, path: str) -> Path:
    """Return the folder of the cache for a source."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = hashlib.sha256(f"{repository}\n{branch}\n{path}".encode()).hexdigest()[:16]
    return Path(base) / "configsvc" / "sync" / name


def checked_path(path: str) -> str:
    """Return a folder of a repository in its only form; empty for the whole of it. Raises UsageError."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or not path.isprintable():
        raise UsageError(f"{path!r} is no folder in the repository")
    return "" if not parts else str(PurePosixPath(path))


class Clone:
    """The newest commit of a branch, without history, in a folder that one program at a time can use."""

    def __init__(self, git: Git, folder: Path, url: str, branch: str, path: str) -> None:
        self.repository = normalized(url, Path.cwd())
        self._git = git
        self._folder = folder.absolute()
        # Git would take it as relative to the clone.
        self._url = str(Path(url).resolve()) if self.repository.startswith("file:") and "://" not in url else url
        self._branch = branch
        self._path = path
        self._bare = self._folder / "repository.git"

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other programs from the folder. Raises CliError if one uses it."""
        self._make_folder()
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CliError(
                    f"another agent uses the folder {self._folder}",
                    ExitCode.CONFLICT,
                    hint="Give each agent on this machine its own with --cache-dir.",
                ) from None
            for left in self._folder.glob("tree-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fetch(self) -> Commit:
        """Fetch the branch, wherever it went, and return its newest commit. Raises GitError."""
        if self._bare.is_dir() and len(list((self._bare / "objects" / "pack").glob("*.pack"))) < MAX_PACKS:
            try:
                return self._fetch(self._bare)
            except StoppedError:
                raise
            except GitError as error:
                # Git did not end in time: another attempt would not either.
                if error.code is ExitCode.UNAVAILABLE:
                    raise
        return self._fetch_anew()

    def _fetch_anew(self) -> Commit:
        """Make the clone anew. The old one stays until the new one is whole. Raises GitError."""
        fresh = self._folder / "fresh.git"
        self._make_folder()
        _remove(fresh)
        self._git.run(self._folder, "init", "--quiet", "--bare", "--template=", "--", fresh.name)
        commit = self._fetch(fresh)
        _remove(self._bare)
        fresh.rename(self._bare)
        return commit

    def _fetch(self, bare: Path) -> Commit:
        try:
            self._fetch_branch(bare, "--depth=1")
        except StoppedError:
            raise
        except GitError as error:
            # A plain web server has whole histories only.
            if "does not support shallow" not in error.text:
                raise
            self._fetch_branch(bare)
        return read_commit(self._git, bare, _REF, self.repository, self._path)

    def _fetch_branch(self, bare: Path, *options: str) -> None:
        arguments = ("--quiet", "--force", "--update-shallow", "--no-tags", "--no-recurse-submodules", *options)
        self._git.run(
            bare,
            "fetch",
            *arguments,
            "--",
            "source",
            f"+refs/heads/{self._branch}:{_REF}",
            seconds=FETCH_SECONDS,
            secrets=secrets_of(self._url),
            settings={"remote.source.url": self._url, "fetch.unpackLimit": "1"},
        )

    @contextmanager
    def tree(self, commit: Commit) -> Generator[Path]:
        """Yield a folder with the files of a commit, which are all there. Raises CliError."""
        with self._empty_folder() as folder:
            try:
                self._check_out(commit.commit, folder)
            except StoppedError:
                raise
            except GitError:
                # Is the clone damaged?
                if self._fetch_anew().commit != commit.commit:
                    raise
                self._check_out_whole(commit.commit, folder)
            yield folder

    @contextmanager
    def _empty_folder(self) -> Generator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="tree-", dir=self._folder))
        try:
            (folder / "files").mkdir()
            yield folder / "files"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _check_out_whole(self, commit: str, folder: Path) -> None:
        kind = ""
        with suppress(GitError):
            kind = self._git.run(self._bare, "cat-file", "-t", f"{commit}:{self._path}").decode().strip()
        if kind != "tree":
            raise CliError(
                f"the commit has no folder {self._path}",
                ExitCode.INVALID,
                hint="--path names the folder that has schemas/ and applications/.",
            )
        shutil.rmtree(folder)
        folder.mkdir()
        self._check_out(commit, folder)

    def _check_out(self, commit: str, folder: Path) -> None:
        variables = {
            "GIT_DIR": str(self._bare),
            "GIT_WORK_TREE": str(folder),
            "GIT_INDEX_FILE": str(folder.parent / "index"),
        }
        self._git.run(folder, "read-tree", f"{commit}:{self._path}", variables=variables)
        self._git.run(folder, "checkout-index", "--all", "--force", variables=variables)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
