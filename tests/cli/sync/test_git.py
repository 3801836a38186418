"""The git program, with real repositories."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.sync import clone as clones
from configsvc.cli.sync import git as gits
from configsvc.cli.sync.clone import Clone, checked_path
from configsvc.cli.sync.git import (
    Git,
    GitError,
    StoppedError,
    checked_branch,
    checked_url,
    checkout_of,
    normalized,
    without_credentials,
)
from tests.cli.sync.repositories import SETTINGS, Repository, needs_git, new_repository

pytestmark = needs_git

FILE = "conf/applications/shop/web.json"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    repository = new_repository(tmp_path / "origin")
    repository.commit({FILE: "1", "README.md": "hello"}, subject="first")
    return repository


def clone_of(origin: Repository, folder: Path, path: str = "conf") -> Clone:
    return Clone(Git(), folder, str(origin.folder), "main", path)


def files_of(clone: Clone) -> dict[str, str]:
    commit = clone.fetch()
    with clone.locked(), clone.tree(commit) as folder:
        return {str(file.relative_to(folder)): file.read_text("utf-8") for file in folder.rglob("*") if file.is_file()}


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        *("git@git.example.com:team/conf.git", "git.example.com:team/conf", "ssh://git@git.example.com/team/conf.git"),
        *("https://user:token@git.example.com/team/conf.git", "https://git.example.com:443/team/conf/"),
        *("ssh://git@git.example.com:22/team/conf", "https://GIT.example.com//team/conf.git/"),
    ],
)
def test_all_addresses_of_a_repository_are_one(url: str, tmp_path: Path) -> None:
    assert normalized(url, tmp_path) == "git.example.com/team/conf"


def test_addresses_of_different_repositories_differ(tmp_path: Path) -> None:
    urls = ("https://a/b", "https://a:8443/b", "https://a/B", "https://a/b/c", "https://[::1]/b", "b", "file:///b")
    assert len({normalized(url, tmp_path) for url in urls}) == len(urls)
    assert normalized("../conf.git", tmp_path / "a") == normalized(f"file://{tmp_path}/conf", Path("/"))
    with pytest.raises(UsageError):
        normalized("https://u:secret@host:port/x", tmp_path)


@pytest.mark.parametrize("url", ["", "-u", "--upload-pack=x", "ext::sh -c x", "foo::bar", "https://a\n/b"])
def test_addresses_that_are_options_or_programs_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        checked_url(url)


@pytest.mark.parametrize("branch", ["", "-x", "--upload-pack=x", "a b", "a..b", "a:b", "*", "a.lock", "a@{1}"])
def test_branches_that_are_options_or_patterns_are_refused(branch: str) -> None:
    with pytest.raises(UsageError):
        checked_branch(branch)


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "a\n"])
def test_folders_outside_of_the_repository_are_refused(path: str) -> None:
    with pytest.raises(UsageError):
        checked_path(path)
    assert checked_path("./a//b/") == "a/b"
    assert checked_path(".") == ""


def test_credentials_of_addresses_are_never_shown(tmp_path: Path) -> None:
    shown = without_credentials("cannot read https://user:to@ken@host/x and ssh://me@host", ())
    assert shown == "cannot read https://host/x and ssh://host"
    clone = Clone(Git(), tmp_path / "cache", "http://user:s3cr%40t@127.0.0.1:1/x?private=t0ken", "main", "")
    with pytest.raises(GitError) as failed:
        clone.fetch()
    text = "\n".join([failed.value.text, *failed.value.details, failed.value.hint, clone.repository])
    assert "127.0.0.1" in text
    assert not [secret for secret in ("user", "s3cr", "t0ken") if secret in text], text
    left = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert b"s3cr" not in left


# A folder


def test_a_folder_knows_its_commit_and_where_it_is_in_its_repository(origin: Repository) -> None:
    origin.git("remote", "add", "origin", "https://user:token@git.example.com/team/conf.git")
    commit = origin.commit({FILE: "2"}, subject="more — ünd mehr")
    found = checkout_of(origin.folder / "conf")
    assert found.differing == ()
    assert found.commit.repository == "git.example.com/team/conf"
    assert (found.commit.path, found.commit.commit) == ("conf", commit)
    assert (found.commit.author, found.commit.subject) == ("Ann <ann@example.com>", "more — ünd mehr")
    assert checkout_of(origin.folder).commit.path == ""


def test_a_detached_head_and_a_shallow_clone_have_a_commit(origin: Repository, tmp_path: Path) -> None:
    origin.commit({FILE: "2"}, subject="second")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.folder}", str(tmp_path / "clone"))
    clone = Repository(tmp_path / "clone")
    clone.git("checkout", "--quiet", "--detach")
    assert checkout_of(clone.folder).commit.subject == "second"
    assert checkout_of(clone.folder).commit.repository == f"file://{origin.folder}"


def test_files_that_differ_from_the_commit_are_named(origin: Repository) -> None:
    origin.git("remote", "add", "origin", "https://host/x")
    origin.commit({".gitignore": "*.local.json\n", "conf/schemas/gone.json": "{}"})
    (origin.folder / "conf/schemas/gone.json").unlink()
    origin.write({FILE: "3", "conf/applications/shop/new ünd.yaml": "", "conf/applications/shop/a.local.json": "{}"})
    # No part of a tree.
    origin.write({"README.md": "", "conf/notes.txt": "", "conf/applications/shop/.web.json.swp": ""})
    expected = ["shop/a.local.json", "shop/new ünd.yaml", "shop/web.json"]
    found = checkout_of(origin.folder / "conf").differing
    assert found == (*(f"applications/{name}" for name in expected), "schemas/gone.json")


def test_the_repository_of_a_hook_is_not_taken_for_that_of_the_folder(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.git("remote", "add", "origin", "https://host/x")
    other = new_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    assert checkout_of(origin.folder).commit.subject == "first"


def test_a_folder_without_a_commit_says_what_is_missing(
    tmp_path: Path, origin: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(folder: Path) -> str:
        with pytest.raises(GitError) as failed:
            checkout_of(folder)
        return failed.value.text

    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert fault(outside) == "this folder is in no Git repository"
    assert fault(tmp_path / "missing") == f"there is no folder {tmp_path / 'missing'}"
    assert fault(origin.folder) == "the repository has no remote origin, so its name is unknown"
    empty = new_repository(tmp_path / "empty")
    empty.git("remote", "add", "origin", "https://host/x")
    assert fault(empty.folder) == "the repository has no commit yet"
    assert "bare" in fault(origin.folder / ".git")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fault(origin.folder) == "the program git is not installed"


def test_settings_of_a_repository_run_nothing(origin: Repository, tmp_path: Path) -> None:
    origin.git("remote", "add", "origin", "https://host/x")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    program.chmod(0o755)
    origin.git("config", "core.fsmonitor", str(program))
    origin.git("config", "core.pager", str(program))
    checkout_of(origin.folder)
    shutil.copy(program, origin.folder / ".git" / "hooks" / "post-checkout")
    assert files_of(clone_of(origin, tmp_path / "cache"))
    assert not (tmp_path / "ran").exists()


# Calls


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program named git before the real one."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_call_that_takes_too_long_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    stand_in(tmp_path, monkeypatch, f"exec 3>{tmp_path}/pipe\n(trap '' TERM; sleep 300; sleep 300) &\nwait")
    monkeypatch.setattr(gits, "ENDING_SECONDS", 0.05)
    with pytest.raises(GitError, match=r"git fetch has not ended within 0\.5 s") as failed:
        Git().run(tmp_path, "fetch", seconds=0.5)
    assert failed.value.code is ExitCode.UNAVAILABLE
    # The end of the pipe is that of the last program that has it open.
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_call_ends_when_its_program_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    stand_in(tmp_path, monkeypatch, f"echo >{tmp_path}/pipe\nexec sleep 300")
    git = Git()

    def stop() -> None:
        (tmp_path / "pipe").read_text("utf-8")
        git.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(StoppedError):
        git.run(tmp_path, "fetch")
    stopping.join()
    with pytest.raises(StoppedError):
        git.run(tmp_path, "fetch")


# The clone of the agent


def test_a_clone_follows_its_branch_through_force_pushes(origin: Repository, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "cache")
    first = clone.fetch()
    assert (first.subject, first.path, first.repository) == ("first", "conf", f"file://{origin.folder}")
    assert files_of(clone) == {"applications/shop/web.json": "1"}
    origin.commit({FILE: "2", "conf/applications/shop/more.json": "{}"})
    assert set(files_of(clone)) == {"applications/shop/web.json", "applications/shop/more.json"}
    # Another history altogether, and one that is older.
    origin.git("checkout", "--quiet", "--orphan", "other")
    origin.commit({FILE: "3"}, subject="other")
    origin.git("branch", "--quiet", "-M", "main")
    assert files_of(clone) == {"applications/shop/web.json": "3", "applications/shop/more.json": "{}"}
    origin.git("reset", "--quiet", "--hard", first.commit)
    assert clone.fetch() == first
    assert files_of(clone) == {"applications/shop/web.json": "1"}


def test_a_clone_takes_from_a_shallow_repository(origin: Repository, tmp_path: Path) -> None:
    origin.commit({FILE: "2"}, subject="second")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.folder}", str(tmp_path / "shallow"))
    shallow = Repository(tmp_path / "shallow")
    clone = clone_of(shallow, tmp_path / "cache")
    assert files_of(clone) == {"applications/shop/web.json": "2"}
    shallow.commit({FILE: "3"})
    assert files_of(clone) == {"applications/shop/web.json": "3"}


def test_a_clone_takes_whole_histories_where_there_are_no_shallow_ones(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({FILE: "2"}, subject="second")
    origin.git("update-server-info")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(Quiet, directory=str(origin.folder / ".git"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"http://user:secret@127.0.0.1:{server.server_port}/"
            assert Clone(Git(), tmp_path / "cache", url, "main", "").fetch().subject == "second"
        finally:
            server.shutdown()
            thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.mark.parametrize("damage", ["objects", "config", "lock", "file", "pack"])
def test_a_damaged_clone_is_made_anew(origin: Repository, tmp_path: Path, damage: str) -> None:
    clone = clone_of(origin, tmp_path / "cache")
    commit = clone.fetch()
    bare = tmp_path / "cache" / "repository.git"
    match damage:
        case "objects":
            shutil.rmtree(bare / "objects")
        case "config":
            (bare / "config").write_text("[", encoding="utf-8")
        case "lock":
            (bare / "shallow.lock").touch()
            origin.commit({FILE: "1", "conf/schemas/x.json": "{}"})
            commit = clone.fetch()
        case "file":
            shutil.rmtree(bare)
            bare.touch()
        case _:
            for pack in (bare / "objects" / "pack").glob("*.pack"):
                pack.chmod(0o600)
                pack.write_bytes(pack.read_bytes()[:-60])
    with clone.tree(commit) as folder:
        assert (folder / "applications/shop/web.json").read_text("utf-8") == "1"
    assert clone.fetch() == commit


def test_a_clone_does_not_grow_for_ever(origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clones, "MAX_PACKS", 2)
    clone = clone_of(origin, tmp_path / "cache")
    for number in range(4):
        origin.commit({FILE: str(number)})
        assert files_of(clone) == {"applications/shop/web.json": str(number)}
        assert len(list((tmp_path / "cache").rglob("*.pack"))) <= 2


def test_a_clone_keeps_what_it_has_while_the_repository_is_away(origin: Repository, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "cache")
    commit = clone.fetch()
    away = origin.folder.rename(tmp_path / "away")
    with pytest.raises(GitError):
        clone.fetch()
    with clone.tree(commit) as folder:
        assert (folder / "applications/shop/web.json").exists()
    away.rename(origin.folder)
    assert clone.fetch() == commit


def test_a_folder_that_the_commit_does_not_have_is_an_error_of_the_commit(origin: Repository, tmp_path: Path) -> None:
    for path in ("missing", "README.md"):
        clone = clone_of(origin, tmp_path / "cache", path)
        commit = clone.fetch()
        with pytest.raises(CliError, match=f"the commit has no folder {path}") as failed, clone.tree(commit):
            pass
        assert failed.value.code is ExitCode.INVALID


def test_submodules_and_large_files_are_not_fetched(origin: Repository, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    origin.write({".gitattributes": "*.json filter=lfs\n", "conf/.gitattributes": "*.json filter=lfs\n", FILE: pointer})
    other = new_repository(tmp_path / "other")
    other.commit({"x.json": "{}"})
    origin.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.folder), "conf/schemas")
    origin.commit()
    files = files_of(clone_of(origin, tmp_path / "cache"))
    assert files["applications/shop/web.json"] == pointer
    assert not [name for name in files if name.startswith("schemas/")]


def test_one_program_at_a_time_uses_a_clone_and_what_another_left_is_removed(
    origin: Repository, tmp_path: Path
) -> None:
    clone = clone_of(origin, tmp_path / "cache")
    left = tmp_path / "cache" / "tree-left"
    left.mkdir(parents=True)
    with clone.locked():
        assert not left.exists()
        with pytest.raises(CliError, match="another agent uses the folder"), clone.locked():
            pass
    with clone.locked():
        pass
