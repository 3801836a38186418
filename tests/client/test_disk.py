"""The copy on disk, with a real service that comes and goes."""

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from configsvc.client import NotReadyError, StaleError
from configsvc.client.disk import Copy, Disk
from configsvc.client.settings import Settings
from configsvc.client.view import View
from tests.client.clients import client_of, put, remove, until
from tests.client.messages import configuration
from tests.docs.test_follower import served
from tests.service import Service
from tests.storage.reading import Session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


def file_in(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


async def test_a_program_starts_from_the_copy_while_the_service_is_away_and_says_so(
    database_url: str, psql: Session, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listen = f"unix:{tmp_path}/socket"
    await put(psql, "limits", '{"n": 1, "large": 9007199254740991, "small": 1e-7}')
    async with served(database_url, listen), client_of(listen, disk_folder=folder) as configs:
        first = configs["limits"]
    async with client_of(listen, disk_folder=folder, start_timeout=1.0) as configs:
        assert configs["limits"] == first == {"n": 1, "large": 9007199254740991, "small": 1e-7}
        assert (configs.status.source, configs.status.is_connected) == ("disk", False)
        assert 0 < configs.staleness < 60
        assert "started from the copy" in caplog.text
        await put(psql, "limits", '{"n": 2}')
        async with served(database_url, listen):
            await until(lambda: configs["limits"] == {"n": 2})
            await until(lambda: configs.status.source == "service")
    assert list(folder.iterdir())


async def test_a_start_from_the_copy_resumes_and_misses_nothing(
    service: Service, psql: Session, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", '{"n": 1}')
    await put(psql, "gone", "{}")
    async with client_of(service.address, disk_folder=folder):
        pass
    await put(psql, "limits", '{"n": 2}')
    await remove(psql, "gone")
    async with client_of(service.address, disk_folder=folder) as configs:
        assert dict(configs.snapshot()) == {"limits": {"n": 2}}
        assert configs.status.source == "service"


async def test_the_age_of_the_copy_counts_as_staleness(
    database_url: str, psql: Session, tmp_path: Path, folder: Path
) -> None:
    listen = f"unix:{tmp_path}/socket"
    await put(psql, "limits", "{}")
    async with served(database_url, listen), client_of(listen, disk_folder=folder):
        pass
    options: dict[str, Any] = {"disk_folder": folder, "start_timeout": 1.0, "on_stale": "raise"}
    async with client_of(listen, stale_after=0.01, **options) as configs:
        with pytest.raises(StaleError):
            _ = configs["limits"]


async def test_without_service_and_copy_there_is_no_start(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotReadyError):
        await client_of(f"unix:{tmp_path}/socket", disk_folder=folder, start_timeout=0.3).start()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-10],
        lambda data: data.replace(b'"revision"', b'"Revision"'),
        lambda data: data.replace(b'"format": 2', b'"format": 3'),
        lambda data: b"",
        lambda data: b"[]\n{}",
        lambda data: b"\xff" + data,
        lambda data: b"[" * 200_000,
    ],
)
async def test_a_damaged_copy_is_not_used_and_not_deleted(
    damage: Any, service: Service, psql: Session, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(psql, "limits", "{}")
    async with client_of(service.address, disk_folder=folder):
        pass
    file = file_in(folder)
    file.write_bytes(damage(file.read_bytes()))
    damaged = file.read_bytes()
    disk = Disk(folder, Settings(address=service.address, application="shop"))
    assert disk.load() is None
    assert "is not used" in caplog.text
    assert file.read_bytes() == damaged
    async with client_of(service.address, disk_folder=folder) as configs:
        assert configs["limits"] == {}
    assert disk.load() is not None


async def test_only_the_owner_can_read_the_copy(service: Service, psql: Session, folder: Path) -> None:
    os.umask(0)
    async with client_of(service.address, disk_folder=folder):
        pass
    assert stat.S_IMODE(file_in(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    os.umask(0o022)


async def test_the_copy_is_saved_while_the_program_runs(
    service: Service, psql: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.client.copies.LEAST_SECONDS", 0.0)
    async with client_of(service.address, disk_folder=folder):
        await put(psql, "limits", '{"killed": true}')
        await until(
            lambda: folder.exists() and list(folder.glob("*.json")) and b"killed" in file_in(folder).read_bytes()
        )


async def test_a_disk_that_cannot_be_written_stops_nothing(
    service: Service, psql: Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    await put(psql, "limits", "{}")
    async with client_of(service.address, disk_folder=file) as configs:
        assert configs["limits"] == {}
    assert "was not saved" in caplog.text


def test_each_selection_and_identity_has_a_file_of_its_own(folder: Path) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"address": "other:1"},
        {"application": "other"},
        {"names": ["a", "b"]},
        {"prefix": "a"},
        {"identity": "billing"},
    ]
    plain: dict[str, Any] = {"address": "config:1", "application": "shop"}
    assert len({Disk(folder, Settings(**plain | variant)).file for variant in variants}) == len(variants)
    swapped = [Disk(folder, Settings(**plain, names=names)).file for names in (["a", "b"], ["b", "a"])]
    assert swapped[0] == swapped[1]


def save_often(folder: Path, number: int) -> None:
    disk = Disk(folder, Settings(address="config:1", application="shop"))
    many = [configuration(f"c{one}", number) for one in range(200)]
    view = View(token="one:1", by_id={one.id: one for one in many}, by_name={one.name: one for one in many})
    for _ in range(25):
        disk.save(Copy(view=view, confirmed_at=0.0))


def test_two_processes_share_a_file_and_each_reads_a_whole_copy(folder: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    writers = [spawning.Process(target=save_often, args=(folder, number)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    disk = Disk(folder, Settings(address="config:1", application="shop"))
    seen: set[int] = set()
    while any(writer.is_alive() for writer in writers):
        copy = disk.load()
        assert copy or not seen, "a copy that was there is gone"
        if copy:
            (version,) = {one.version for one in copy.view.by_name.values()}
            seen.add(version)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert [file.name for file in folder.iterdir()] == [disk.file.name]


def test_a_copy_has_its_checksum_over_everything(folder: Path) -> None:
    disk = Disk(folder, Settings(address="config:1", application="shop"))
    one = configuration("limits")
    disk.save(Copy(view=View(token="one:1", by_id={one.id: one}, by_name={"limits": one}), confirmed_at=5.0))
    header, body = disk.file.read_bytes().split(b"\n", 1)
    assert json.loads(body)["configurations"][0]["text"] == '{"version": 1}'
    for place in range(len(body)):
        disk.file.write_bytes(header + b"\n" + body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        assert disk.load() is None


def save_one(disk: Disk, token: str = "one:1") -> None:
    one = configuration("limits")
    disk.save(Copy(view=View(token=token, by_id={one.id: one}, by_name={"limits": one}), confirmed_at=5.0))


SAVE_AND_BE_KILLED = """
import os, signal, sys
from pathlib import Path
from configsvc.client.disk import Copy, Disk
from configsvc.client.settings import Settings
from configsvc.client.view import View
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
disk = Disk(Path(sys.argv[1]), Settings(address="config:1", application="shop"))
disk.save(Copy(view=View(token="one:1"), confirmed_at=5.0))
"""


def test_what_a_killed_program_left_while_it_saved_is_removed_once_it_is_old(folder: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", SAVE_AND_BE_KILLED, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = file_in(folder)
    others = [folder / name for name in (".shop-notes.tmp", "shop-0123456789abcdef-abcdefgh.tmp", ".env")]
    link = left.with_name(".shop-0123456789abcdef-aaaaaaaa.tmp")
    link.symlink_to(others[0])
    for file in others:
        file.touch()
    disk = Disk(folder, Settings(address="config:2", application="bank"))
    save_one(disk)
    assert left.exists(), "somebody may still be writing it"
    for file in (left, *others):
        os.utime(file, (0, 0))
    # A program looks once, at its first copy.
    save_one(disk)
    assert left.exists()
    disk = Disk(folder, Settings(address="config:2", application="bank"))
    save_one(disk)
    assert set(folder.iterdir()) == {disk.file, link, *others}


def test_the_copy_of_another_application_is_not_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop, other = (Disk(folder, Settings(address="config:1", application=name)) for name in ("shop", "other"))
    save_one(other)
    other.file.rename(shop.file)
    assert shop.load() is None
    assert "another service, selection or identity" in caplog.text


async def test_a_copy_with_a_token_that_the_service_does_not_take_is_replaced(
    service: Service, psql: Session, folder: Path
) -> None:
    await put(psql, "limits", '{"n": 1}')
    save_one(Disk(folder, Settings(address=service.address, application="shop")), token="damaged")
    async with client_of(service.address, disk_folder=folder) as configs:
        assert (configs["limits"], configs.status.source) == ({"n": 1}, "service")


async def test_a_disk_that_hangs_leaves_time_for_the_service(service: Service, psql: Session, folder: Path) -> None:
    await put(psql, "limits", '{"n": 1}')
    file = Disk(folder, Settings(address=service.address, application="shop")).file
    folder.mkdir()
    os.mkfifo(file)
    async with client_of(service.address, disk_folder=folder, start_timeout=4.0) as configs:
        assert configs["limits"] == {"n": 1}
