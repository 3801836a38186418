"""Clients in other languages, each a program that makes all cases and prints what it got."""

import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.docs.clients import ENVIRONMENT, built_once, client_in, ran
from tests.docs.test_guide import PROJECT

SOURCES = Path(__file__).parent / "clients"
BUILD = PROJECT / "build" / "clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The command of a client, to which the address, a prefix for names, and the files for TLS are added."""

    command: tuple[str, ...]
    has_tls: bool = True


@cache
def program_in(language: str) -> Program:
    """Return the program in a language, or skip."""
    # It is built on what the language's example needs.
    example = client_in(language)
    return PROGRAMS[language](example.get)


def _node(_: tuple[str, ...]) -> Program:
    modules = f"NODE_PATH={BUILD}/node/node_modules"
    return Program(command=(*ENVIRONMENT, modules, "node", f"{SOURCES}/cases.js", str(PROJECT)))


def _go(_: tuple[str, ...]) -> Program:
    folder = BUILD / "cases-go"
    _built(folder, SOURCES / "cases.go", "go", "build", "-o", f"{folder}/cases", "cases")
    return Program(command=(*ENVIRONMENT, f"{folder}/cases"))


def _java(example: tuple[str, ...]) -> Program:
    folder, class_path = BUILD / "cases-java", example[-2]
    generated = f"{BUILD}/java/generated"
    command = ("javac", "-J-XX:TieredStopAtLevel=1", "-nowarn", "-proc:none", "-d", str(folder), "-cp", class_path)
    _built(folder, SOURCES / "Cases.java", *command, "-sourcepath", generated, f"{SOURCES}/Cases.java")
    own = f"{folder}:{class_path}"
    return Program(command=(*ENVIRONMENT, *example[:-2], own, "Cases"), has_tls=False)


def _built(folder: Path, source: Path, *command: str) -> None:
    """Compile the source, with the code that the example's build has generated."""

    def build():
        package = folder / "src" / "cases"
        package.mkdir(parents=True)
        shutil.copy(source, package)
        go_path = f"GOPATH={folder}:{BUILD}/go:/usr/share/gocode"
        done = ran(folder, "env", go_path, "GO111MODULE=off", "GOFLAGS=", *command)
        assert done.returncode == 0, done.stderr
        return done

    built_once(folder, (source, PROJECT / "protos"), build)


PROGRAMS = {"node": _node, "go": _go, "java": _java}
GRPCURL = Path(sys.executable).with_name("grpcurl")


def grpcurl() -> str:
    """Return the path of grpcurl, or skip."""
    return str(GRPCURL) if GRPCURL.exists() else pytest.skip("grpcurl is not installed")
