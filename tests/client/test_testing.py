"""The configurations that programs use in their tests."""

import asyncio
import copy
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from configsvc.client import ConfigError, NotReadyError, RefusedError, StaleError, StoppedError
from configsvc.client.reading import Configs
from configsvc.client.testing import FakeConfigs
from tests.client.clients import put, shown, wait_until
from tests.docs.test_guide import output_of
from tests.service import Service
from tests.storage.reading import Session


@dataclass
class Limits:
    n: int


def test_a_program_reads_what_its_test_sets() -> None:
    with FakeConfigs({"limits": {"n": 1}}) as configs:
        limits, changes = configs.bind("limits", Limits), configs.changes("limits")
        assert isinstance(configs, Configs)
        assert (configs["limits"], limits.value, configs.status.source) == ({"n": 1}, Limits(1), "test")
        configs.set("limits", {"n": 2})
        assert (configs["limits"], limits.value) == ({"n": 2}, Limits(2))
        assert shown(next(changes)) == ("limits", {"n": 1}, {"n": 2})
        with pytest.raises(TypeError, match="read-only"):
            configs["limits"]["n"] = 3  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
        configs.set("limits", {"n": "x"})
        assert limits.value == Limits(2)
        assert configs.status.refusals["limits"][0].faults[0].pointer == "/n"


async def test_a_program_with_a_loop_waits_for_what_its_test_sets() -> None:
    async with FakeConfigs({"limits": {"n": 1}}) as configs:
        changes = configs.changes()
        waiting = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        configs.update({"limits": None, "flags": {}})
        assert shown(await waiting) == ("limits", {"n": 1}, None)
        assert shown(await anext(changes)) == ("flags", None, {})
    assert [change async for change in changes] == []


def test_callbacks_are_called_for_what_a_test_sets() -> None:
    seen: list[Any] = []
    with FakeConfigs({}) as configs:
        configs.on_change(lambda change: seen.append(configs[change.name]))
        configs.set("limits", {"n": 2})
        wait_until(lambda: seen == [{"n": 2}])


def test_a_program_can_be_tested_before_it_is_ready_when_stale_and_when_refused() -> None:
    configs = FakeConfigs(stale_after=60, on_stale="raise")
    with pytest.raises(NotReadyError):
        _ = configs["limits"]
    configs.set("limits", {"n": 1})
    configs.stale(61)
    with pytest.raises(StaleError, match="61 s old"):
        _ = configs["limits"]
    configs.set("limits", {"n": 2})
    changes = configs.changes()
    configs.fail()
    assert configs["limits"] == {"n": 2}
    with pytest.raises(StoppedError):
        next(changes)
    never_ready = FakeConfigs()
    never_ready.fail(StoppedError("away"))
    with pytest.raises(StoppedError, match="away"):
        _ = never_ready["limits"]


def test_what_violates_the_schema_of_production_is_refused_in_the_test() -> None:
    schema = {"properties": {"ports": {"items": {"type": "integer"}}}}
    configs = FakeConfigs({"web": {"ports": [1]}, "other": {"ports": "x"}}, schemas={"web": schema})
    with pytest.raises(ValueError, match="web violates its schema: /ports/1"):
        configs.set("web", {"ports": [1, "x"]})
    assert configs["web"] == {"ports": [1]}
    with pytest.raises(ValueError, match="JSON"):
        configs.set("other", {"n": float("nan")})


async def test_an_export_is_what_a_test_begins_with(service: Service, psql: Session, tmp_path: Path) -> None:
    await put(psql, "limits", '{"n": 1, "deep": [{"a": null}]}')
    await put(psql, "flags", "{}")
    for format_ in ("STRUCT", "JSON"):
        grpcurl = Path(sys.executable).with_name("grpcurl")
        request = json.dumps({"format": f"CONTENT_FORMAT_{format_}"})
        method = "configapi.v1.ConfigurationService/ExportConfigurations"
        file = tmp_path / format_
        file.write_text(await output_of(f"{grpcurl} -plaintext -d '{request}' {service.address} {method}"))
        configs = FakeConfigs.from_export(file)
        assert dict(configs.snapshot()) == {"limits": {"n": 1, "deep": [{"a": None}]}, "flags": {}}


def test_an_export_of_several_applications_needs_the_name_of_one(tmp_path: Path) -> None:
    items = [{"application": {"name": name}, "name": "limits", "config": {"of": name}} for name in ("a", "b")]
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"items": items}), encoding="utf-8")
    with pytest.raises(ValueError, match="name one: a, b"):
        FakeConfigs.from_export(file)
    assert FakeConfigs.from_export(file, application="b")["limits"] == {"of": "b"}


def test_the_fixture_is_there_wherever_the_package_is_installed(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_own(fake_configs):\n"
        "    fake_configs.set('limits', {'n': 1})\n"
        "    assert fake_configs['limits'] == {'n': 1}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_fixture_begins_empty(fake_configs: FakeConfigs) -> None:
    assert dict(fake_configs.snapshot()) == {}
    with pytest.raises(RefusedError):
        fake_configs.bind("limits", Limits)


def test_to_check_schemas_takes_a_package_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema.validators", None)
    with pytest.raises(ConfigError, match="pip install jsonschema"):
        FakeConfigs({"web": {}}, schemas={"web": {}})


def test_an_export_of_the_command_line_is_what_a_test_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    items = [{"application": "shop", "name": "limits", "config": {"n": 1}}]
    file.write_text(json.dumps({"revision": 5, "epoch": "one", "configurations": items}), encoding="utf-8")
    assert dict(FakeConfigs.from_export(file, application="shop").snapshot()) == {"limits": {"n": 1}}


def test_an_export_is_checked_against_the_schemas_of_production_as_is_what_is_set_later(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    items = [{"application": "shop", "name": "limits", "config": {"n": 1}}]
    file.write_text(json.dumps({"configurations": items}), encoding="utf-8")
    fits = {"limits": {"properties": {"n": {"type": "integer"}}}}
    configs = FakeConfigs.from_export(file, schemas=fits)
    with pytest.raises(ValueError, match="limits violates its schema: /n: "):
        configs.set("limits", {"n": "x"})
    assert configs["limits"] == {"n": 1}
    with pytest.raises(ValueError, match="limits violates its schema: /n: "):
        FakeConfigs.from_export(file, schemas={"limits": {"properties": {"n": {"type": "string"}}}})


def test_a_value_is_there_while_another_thread_swaps_in_the_first_valid_one() -> None:
    checking, goes_on = threading.Event(), threading.Event()

    class Slow(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def wait(cls, n: int) -> int:
            if n == 2:
                checking.set()
                assert goes_on.wait(30)
            return n

    configs = FakeConfigs()
    limits, _ = configs.bind("limits", Limits), configs.bind("slow", Slow)
    configs.update({"limits": {"n": "x"}, "slow": {"n": 1}})
    swapping = threading.Thread(target=configs.update, args=({"limits": {"n": 1}, "slow": {"n": 2}},))
    swapping.start()
    assert checking.wait(30)
    with pytest.raises(RefusedError):
        _ = limits.value
    goes_on.set()
    swapping.join()
    assert (limits.value, configs.status.refusals) == (Limits(1), {})


def test_a_model_that_was_refused_can_be_bound_again() -> None:
    configs = FakeConfigs()
    limits = configs.bind("limits", Limits)
    configs.set("limits", {"n": "x"})
    with pytest.raises(RefusedError):
        configs.bind("limits", Limits)
    with pytest.raises(RefusedError):
        _ = limits.value
    configs.set("limits", {"n": 1})
    assert limits.value == Limits(1)


def test_a_model_whose_first_reading_was_interrupted_can_be_bound_again() -> None:
    interrupts: list[BaseException] = [KeyboardInterrupt()]

    @dataclass
    class Interrupted:
        n: int

        def __post_init__(self) -> None:
            if interrupts:
                raise interrupts.pop()

    configs = FakeConfigs({"limits": {"n": 1}})
    with pytest.raises(KeyboardInterrupt):
        configs.bind("limits", Interrupted)
    assert configs.bind("limits", Interrupted).value.n == 1


def test_an_async_function_is_no_callback() -> None:
    async def follow(_: object) -> None: ...

    with FakeConfigs({}) as configs, pytest.raises(TypeError, match="async for"):
        configs.on_change(follow)


def test_a_callback_that_exits_is_logged_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[object] = []

    def leave(change: object) -> None:
        seen.append(change)
        sys.exit(1)

    with FakeConfigs({}) as configs:
        configs.on_change(leave)
        for number in (1, 2):
            configs.set("limits", {"n": number})
            wait_until(lambda number=number: len(seen) == number)
    assert "a callback failed" in caplog.text


def test_a_snapshot_cannot_be_changed() -> None:
    configs = FakeConfigs({"limits": {}})
    with pytest.raises(TypeError):
        del configs.snapshot().configurations["limits"]  # type: ignore[attr-defined]  # pyright: ignore[reportIndexIssue]
    assert dict(copy.deepcopy(configs.snapshot())) == {"limits": {}}
