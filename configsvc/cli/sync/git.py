"""The git program: bounded in time, without prompts, hooks and helpers that a repository could name, and without
credentials in what it says.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.sync.commit import Commit
from configsvc.cli.sync.naming import APPLICATIONS, ENDINGS, SCHEMAS

LOCAL_SECONDS = 60.0
# After this, git is killed.
ENDING_SECONDS = 5.0

_SETTINGS = (
    # Runs commands that an address names.
    "protocol.ext.allow=never",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.autocrlf=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "log.showSignature=false",
    "i18n.logOutputEncoding=UTF-8",
    "gc.auto=0",
    "maintenance.auto=false",
    # Large files stay pointers.
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    # A connection that is stuck ends sooner than the whole call.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
# They name another repository than that of the folder, or print and run things.
_FOREIGN = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|COMMON_DIR|PREFIX|"
    r"ALLOW_PROTOCOL|TEMPLATE_DIR|EXTERNAL_DIFF|PAGER|EDITOR|CURL_VERBOSE|TRACE\w*)"
)
_USER_INFO = re.compile(r"(\w://)[^/\s@'\"]*(?:@[^/\s@'\"]*)*@")
_DEFAULT_PORTS = {"ssh": 22, "git+ssh": 22, "ssh+git": 22, "https": 443, "http": 80, "git": 9418}
# HOST:PATH or USER@HOST:PATH, where no slash comes before the colon.
_SCP = re.compile(r"(?:[^@/\s]+@)?(\[[^\]]+\]|[^:/\s]+):(?!//)(.+)")


class GitError(CliError):
    """A failure of the git program."""


class StoppedError(GitError):
    """The end of a call because its program is to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The commit of a folder, and the files of a tree that are not as in the commit, relative to the folder."""

    commit: Commit
    differing: tuple[str, ...]


class Git:
    """Calls of the git program. `stop` ends the present one and refuses others."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self,
        folder: Path,
        *arguments: str,
        seconds: float = LOCAL_SECONDS,
        secrets: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the output of git, run in a folder. `settings` are hidden from the list of processes, and `secrets`
        from the texts of errors. Raises GitError.
        """
        process = _started(folder, arguments, environment(settings or {}) | dict(variables or {}))
        self._process = process
        try:
            if self._stopped:
                _signal(process, signal.SIGTERM)
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]} has not ended within {seconds:g} s", ExitCode.UNAVAILABLE) from None
        finally:
            self._process = None
            if process.returncode is None:
                _kill(process)
        if self._stopped:
            raise StoppedError("stopped")
        if process.returncode != 0:
            raise _failure(arguments, err.decode(errors="replace"), secrets)
        return out

    def stop(self) -> None:
        """End the present call, and refuse others. Safe in a signal handler, and from other threads."""
        self._stopped = True
        process = self._process
        if process is not None:
            _signal(process, signal.SIGTERM)
            killing = threading.Timer(ENDING_SECONDS, self._kill, (process,))
            killing.daemon = True
            killing.start()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if self._process is process:
            _signal(process, signal.SIGKILL)


def _started(folder: Path, arguments: tuple[str, ...], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    command = ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *arguments]
    try:
        # A session of its own has no terminal to ask on, and ends as a whole.
        return subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        if not folder.is_dir():
            raise GitError(f"there is no folder {folder}", ExitCode.NOT_FOUND) from None
        raise GitError("the program git is not installed", hint="Install Git 2.31 or newer.") from None
    except OSError as error:
        raise GitError(f"cannot run git in {folder}: {error.strerror}") from None


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal git and everything that it started, which may outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a call: first so that git can remove its locks."""
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=ENDING_SECONDS)
    _signal(process, signal.SIGKILL)
    process.communicate()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for git, with more settings of its configuration."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    count = int(kept["GIT_CONFIG_COUNT"]) if kept.get("GIT_CONFIG_COUNT", "").isdecimal() else 0
    for number, (key, value) in enumerate(settings.items(), count):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return kept | {
        "GIT_CONFIG_COUNT": str(count + len(settings)),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "SSH_ASKPASS_REQUIRE": "never",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
    }


def _failure(arguments: tuple[str, ...], text: str, secrets: tuple[str, ...]) -> GitError:
    lines = [line for line in without_credentials(text, secrets).splitlines() if line.strip()]
    # The first line that says what is wrong. The rest is advice, and echoes of the other side.
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[0] if lines else "no reason")
    told = re.sub(r"^(fatal|error): ", "", told)
    if "not a git repository" in told:
        return GitError(
            "this folder is in no Git repository",
            ExitCode.USAGE,
            hint="Name a folder of a clone; for files without Git, name their source: --repository NAME.",
        )
    if "dubious ownership" in told:
        hint = "The repository belongs to another user: `git config --global --add safe.directory FOLDER` trusts it."
        return GitError(told, ExitCode.NOT_PERMITTED, hint=hint)
    return GitError(f"git {arguments[0]}: {told}", details=[line for line in lines if not line.endswith(told)][:5])


def without_credentials(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a text without users and passwords of addresses, and without these secrets."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _USER_INFO.sub(r"\1", text)


def secrets_of(url: str) -> tuple[str, ...]:
    """Return what must not be shown of an address: its user and password, as written and decoded, and its query."""
    if "://" not in url:
        return ()
    authority, _, rest = url.partition("://")[2].partition("/")
    user_info = authority.rpartition("@")[0]
    _, _, password = user_info.partition(":")
    query = rest.partition("?")[2]
    # A user alone may be a token. Short words would mangle every text.
    return tuple(one for part in (user_info, password, query) for one in (part, unquote(part)) if len(part) > 3)


def checked_url(url: str) -> str:
    """Return the address of a repository, if git takes no part of it for an option or a command. Raises UsageError."""
    if not url or url.startswith("-") or any(ord(character) < 32 for character in url):
        raise UsageError(f"{without_credentials(url)!r} is no address of a repository")
    if re.match(r"[\w+.-]+::", url):
        raise UsageError(
            "addresses with a helper (HELPER::ADDRESS) are refused: they run programs",
            "Use https://, ssh://, git@HOST:PATH or a folder.",
        )
    return url


def checked_branch(name: str) -> str:
    """Return the name of a branch. Raises UsageError."""
    # git check-ref-format has the whole truth, and refuses the rest when it is fetched.
    if not name or name.startswith("-") or re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|//|@\{|\.lock$|^/|[/.]$", name):
        raise UsageError(f"{name!r} is no name of a branch")
    return name


def normalized(url: str, base: Path) -> str:
    """Return the one form that all addresses of a repository have: HOST/PATH, without user, password and .git; or
    file:///PATH for a folder of this machine. `base` is the folder that relative paths begin at. Raises UsageError.
    """
    if "://" not in url:
        found = _SCP.fullmatch(url)
        return _host_and_path(found[1], None, "ssh", found[2]) if found else _file(base / url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError(f"{without_credentials(url)!r} is no address of a repository") from None
    if parts.scheme == "file":
        return _file(Path(unquote(parts.path)))
    return _host_and_path(f"[{host}]" if ":" in host else host, port, parts.scheme, unquote(parts.path))


def _host_and_path(host: str, port: int | None, scheme: str, path: str) -> str:
    shown = f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else ""
    return f"{host.lower()}{shown}/{_without_ending(re.sub('/+', '/', path)).lstrip('/')}"


def _file(path: Path) -> str:
    return f"file://{_without_ending(os.path.realpath(path))}"


def _without_ending(path: str) -> str:
    return path.rstrip("/").removesuffix(".git").rstrip("/")


def checkout_of(directory: Path) -> Checkout:
    """Return the commit that a folder is of, and which of its files differ. A detached HEAD and a shallow clone will
    do. Raises GitError.
    """
    git = Git()
    if _text(git.run(directory, "rev-parse", "--is-inside-work-tree")) != "true":
        raise GitError(f"{directory} is in a repository without files (bare)", ExitCode.USAGE)
    top = Path(_text(git.run(directory, "rev-parse", "--show-toplevel")))
    prefix = _text(git.run(directory, "rev-parse", "--show-prefix")).rstrip("/")
    repository = normalized(_remote_url(git, directory), top)
    if not _has_commits(git, directory):
        raise GitError("the repository has no commit yet", ExitCode.USAGE, hint="Commit the files first.")
    commit = read_commit(git, directory, "HEAD", repository, prefix)
    return Checkout(commit=commit, differing=tuple(_differing(git, directory, prefix)))


def _has_commits(git: Git, directory: Path) -> bool:
    with suppress(GitError):
        git.run(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return True
    return False


def _remote_url(git: Git, directory: Path) -> str:
    try:
        return _text(git.run(directory, "remote", "get-url", "--", "origin"))
    except StoppedError:
        raise
    except GitError:
        raise GitError(
            "the repository has no remote origin, so its name is unknown",
            ExitCode.USAGE,
            hint="`git remote add origin URL` names it.",
        ) from None


def _differing(git: Git, directory: Path, prefix: str) -> list[str]:
    """Return the files of the tree that were changed, are new, are ignored by Git, or are gone. Other files of the
    repository may differ.
    """
    arguments = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    out = git.run(directory, "status", *arguments, "--ignore-submodules=all", "--", SCHEMAS, APPLICATIONS)
    paths = [entry[3:] for entry in _text(out, strip=False).split("\0") if entry]
    inside = (path.removeprefix(f"{prefix}/") if prefix else path for path in paths)
    return sorted(path for path in inside if _is_of_a_tree(path))


def _is_of_a_tree(path: str) -> bool:
    """Return true for files that a tree is read from, and for folders, which may have some."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and path.endswith((*ENDINGS, "/"))


def read_commit(git: Git, folder: Path, ref: str, repository: str, path: str) -> Commit:
    """Return the commit of a ref. Raises GitError."""
    line = git.run(folder, "log", "-1", "--format=%H%x00%an <%ae>%x00%s", ref, "--")
    commit, author, subject = _text(line).split("\0")
    return Commit(repository=repository, path=path, commit=commit, author=author, subject=subject)


def _text(out: bytes, *, strip: bool = True) -> str:
    text = out.decode(errors="replace")
    return text.rstrip("\n") if strip else text
