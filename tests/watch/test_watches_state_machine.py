"""Random operations against a model: every watcher's view equals ListConfigurations at the same revision."""

import asyncio
import contextlib
import copy
import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ListConfigurationsRequest,
    UpdateConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject, encode_json, merge_patch
from tests.postgres import cloned_database, plain_connection
from tests.robustness.form import FORM, PATIENCE_SECONDS
from tests.service import Service, running_service, struct
from tests.storage.reading import Session, head
from tests.watch.changing import OFTEN, create, delete, patch, rename, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import LIMIT_SECONDS, Recorder, Recording, View, recorded, replayed, resumed
from tests.watch.validators import resumable, validate

STEPS = 50
MAX_WATCHERS = 5

APPLICATIONS = ("shop", "bank", "zoo")
NAMES = ("web", "web/a", "web/b", "db", "cache")

Answer = TypeVar("Answer")
Request = TypeVar("Request")

applications = st.sampled_from(APPLICATIONS)
names = st.sampled_from(NAMES)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "ü", 'a"b']))
configs = st.dictionaries(
    st.sampled_from("abc"),
    st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.sampled_from("xy"), scalars, max_size=2)),
    max_size=3,
)
# One operation of a session in SQL: what it does, to which configuration, with what.
statements = st.lists(
    st.tuples(st.sampled_from(["insert", "update", "rename", "delete"]), applications, names, names, configs),
    min_size=1,
    max_size=5,
)
selectors = st.lists(
    st.builds(
        lambda owner, prefix, keys: selector(owner, prefix=prefix, keys=tuple(keys)),
        st.one_of(st.none(), applications),
        st.sampled_from(["", "web", "web/", "d"]),
        st.lists(names, max_size=2),
    ),
    max_size=2,
)


@dataclass(slots=True, kw_only=True)
class Known:
    """A configuration in the model."""

    config: JsonObject
    version: int


Key = tuple[str, str]


@dataclass(slots=True)
class Model:
    """The configurations by application and name, as they must be."""

    state: dict[str, dict[str, Known]] = field(default_factory=dict)

    def find(self, owner: str, name: str) -> Known | None:
        return self.state.get(owner, {}).get(name)

    def shown(self) -> dict[Key, Known]:
        return {(owner, name): known for owner, all_of in self.state.items() for name, known in all_of.items()}


@dataclass(slots=True, kw_only=True)
class Watcher:
    """An open watch, its recording before it was resumed, and its view at that time."""

    recorder: Recorder
    closing: AsyncExitStack
    earlier: list[Recording]
    # The initial view of a watch that begins in the middle of the history.
    base: View

    @property
    def view(self) -> View:
        return replayed(self.base, self.recorder.recording.steps)


class Loop:
    """An event loop in its own thread, for rules that are not async."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(2 * LIMIT_SECONDS)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Machine(RuleBasedStateMachine):
    server: ClassVar[str]
    template: ClassVar[str]
    loop: ClassVar[Loop]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.watchers: list[Watcher] = []
        self.stack = AsyncExitStack()
        self.loop.run(self._open())

    async def _open(self) -> None:
        self.url = await self.stack.enter_async_context(cloned_database(self.server, self.template))
        self.service: Service = await self.stack.enter_async_context(running_service(self.url))
        self.psql: Session = await self.stack.enter_async_context(plain_connection(self.url))

    def teardown(self) -> None:
        try:
            self.loop.run(self._check())
        finally:
            self.loop.run(self._close())

    async def _close(self) -> None:
        for watcher in self.watchers:
            await watcher.closing.aclose()
        await self.stack.aclose()

    # --- what is done ---------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.create_application("shop")

    @rule(owner=applications)
    def create_application(self, owner: str) -> None:
        if owner not in self.model.state:
            request = CreateApplicationRequest(name=owner)
            self.loop.run(self._answer(self.service.applications.CreateApplication, request))
            self.model.state[owner] = {}

    @rule(owner=applications, new=applications)
    def rename_application(self, owner: str, new: str) -> None:
        if owner in self.model.state and new not in self.model.state:
            request = UpdateApplicationRequest(name=owner, application=Application(name=new), reason="renamed")
            self.loop.run(self._answer(self.service.applications.UpdateApplication, request))
            self.model.state[new] = self.model.state.pop(owner)
            for known in self.model.state[new].values():
                known.version += 1

    @rule(owner=applications)
    def delete_application(self, owner: str) -> None:
        if owner in self.model.state:
            request = DeleteApplicationRequest(name=owner, force=True)
            self.loop.run(self._answer(self.service.applications.DeleteApplication, request))
            del self.model.state[owner]

    @rule(owner=applications, name=names, config=configs)
    def create_configuration(self, owner: str, name: str, config: JsonObject) -> None:
        if owner in self.model.state and not self.model.find(owner, name):
            self.loop.run(create(self.service, name, config, application=owner))
            self.model.state[owner][name] = Known(config=config, version=1)

    @rule(owner=applications, name=names, config=configs)
    def replace_configuration(self, owner: str, name: str, config: JsonObject) -> None:
        known = self.model.find(owner, name)
        if known:
            request = UpdateConfigurationRequest(configuration=Configuration(config=struct(config)))
            request.key.application, request.key.name = owner, name
            self.loop.run(self._answer(self.service.configurations.UpdateConfiguration, request))
            self._set(known, config)

    @rule(owner=applications, name=names, change=configs)
    def patch_configuration(self, owner: str, name: str, change: JsonObject) -> None:
        known = self.model.find(owner, name)
        if known:
            answer = self.loop.run(patch(self.service, name, change, application=owner))
            self._set(known, merge_patch(known.config, change))
            assert answer.version == known.version

    @rule(owner=applications, name=names, new=names)
    def rename_configuration(self, owner: str, name: str, new: str) -> None:
        known = self.model.find(owner, name)
        if known and not self.model.find(owner, new):
            self.loop.run(rename(self.service, name, new, application=owner))
            self._rename(owner, name, new)

    @rule(owner=applications, name=names)
    def delete_configuration(self, owner: str, name: str) -> None:
        if self.model.find(owner, name):
            self.loop.run(delete(self.service, name, application=owner))
            del self.model.state[owner][name]

    @rule(work=statements, keep=st.booleans())
    def change_in_sql(self, work: list[tuple[str, str, str, str, JsonObject]], keep: bool) -> None:
        self.loop.run(self._transaction(work, keep))

    async def _transaction(self, work: list[tuple[str, str, str, str, JsonObject]], keep: bool) -> None:
        transaction = self.psql.transaction()
        await transaction.start()
        before = copy.deepcopy(self.model.state)
        for what, owner, name, new, config in work:
            if owner in self.model.state:
                await self._statement(what, owner, name, new, config)
        if keep:
            await transaction.commit()
        else:
            await transaction.rollback()
            self.model.state = before

    async def _statement(self, what: str, owner: str, name: str, new: str, config: JsonObject) -> None:
        known = self.model.find(owner, name)
        text = encode_json(config)
        if what == "insert" and not known:
            await self.psql.execute(
                "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3)", owner, name, text
            )
            self.model.state[owner][name] = Known(config=config, version=1)
        elif what == "update":
            await self.psql.execute("UPDATE configurations SET config = $2 WHERE application = $1", owner, text)
            for other in self.model.state[owner].values():
                self._set(other, config)
        elif what == "rename" and known and not self.model.find(owner, new):
            await self.psql.execute(
                "UPDATE configurations SET name = $3 WHERE application = $1 AND name = $2", owner, name, new
            )
            self._rename(owner, name, new)
        elif what == "delete" and known:
            await self.psql.execute("DELETE FROM configurations WHERE application = $1 AND name = $2", owner, name)
            del self.model.state[owner][name]

    def _set(self, known: Known, config: JsonObject) -> None:
        if struct(known.config) != struct(config):
            known.config = config
            known.version += 1

    def _rename(self, owner: str, name: str, new: str) -> None:
        all_of = self.model.state[owner]
        all_of[new] = all_of.pop(name)
        all_of[new].version += 1

    # --- who watches ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.watchers) < MAX_WATCHERS)
    @rule(chosen=selectors, after=st.one_of(st.none(), st.integers(0, 40)))
    def watch(self, chosen: list[ConfigurationSelector], after: int | None) -> None:
        self.watchers.append(self.loop.run(self._watch(chosen, after)))

    async def _watch(self, chosen: list[ConfigurationSelector], after: int | None) -> Watcher:
        base: View = {}
        if after is not None:
            async with recorded(self.service, self._request(chosen, 0)) as whole:
                recording = await whole.until_revision(await head(self.psql))
            after = min(after, recording.revision)
            base = replayed({}, [step for step in recording.steps if step.revision <= after])
        return await self._opened(self._request(chosen, after), base, [])

    def _request(self, chosen: list[ConfigurationSelector], after: int | None) -> WatchConfigurationsRequest:
        request = watching(*chosen, after_revision=after)
        request.progress_interval.CopyFrom(OFTEN)
        return request

    async def _opened(self, request: WatchConfigurationsRequest, base: View, earlier: list[Recording]) -> Watcher:
        closing = AsyncExitStack()
        recorder = await closing.enter_async_context(recorded(self.service, request))
        return Watcher(recorder=recorder, closing=closing, earlier=earlier, base=base)

    @precondition(lambda self: self.watchers)
    @rule(which=st.integers(0, MAX_WATCHERS - 1))
    def resume(self, which: int) -> None:
        index = which % len(self.watchers)
        self.watchers[index] = self.loop.run(self._resumed(self.watchers[index]))

    async def _resumed(self, watcher: Watcher) -> Watcher:
        """End the watch, and resume it with its token."""
        await watcher.recorder.until(lambda recording: bool(recording.resume_token))
        await watcher.closing.aclose()
        ended = watcher.recorder.recording
        return await self._opened(resumed(ended), watcher.view, [*watcher.earlier, ended])

    # --- what must hold -------------------------------------------------------------------------

    @rule()
    def check(self) -> None:
        self.loop.run(self._check())

    async def _check(self) -> None:
        last = await head(self.psql)
        everything = await self._listed(ListConfigurationsRequest(), last)
        assert {(known.application, known.name): (known.version, known.config) for known in everything.values()} == {
            key: (known.version, struct(known.config)) for key, known in self.model.shown().items()
        }
        history = await read_history(self.url)
        for watcher in self.watchers:
            recording = await watcher.recorder.until_revision(last)
            assert watcher.view == await self._chosen(list(recording.request.selectors), last)
            validate(recording, history)
            sequence = [*watcher.earlier, recording]
            for first, second in itertools.pairwise(sequence):
                resumable(first, second, history)

    async def _chosen(self, chosen: list[ConfigurationSelector], revision: int) -> View:
        """Return the selected configurations as ListConfigurations shows them."""
        view: View = {}
        for each in chosen or [ConfigurationSelector()]:
            if each.application.name and each.application.name not in self.model.state:
                continue
            found = await self._listed(ListConfigurationsRequest(selector=each, page_size=3), revision)
            view |= found
        return view

    async def _listed(self, request: ListConfigurationsRequest, revision: int) -> View:
        view: View = {}
        while True:
            page = await self.service.configurations.ListConfigurations(request)
            assert page.revision == revision
            view |= {known.id: known for known in page.configurations}
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return view

    async def _answer(self, method: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
        return await method(request)


@contextlib.contextmanager
def running_loop() -> Generator[Loop]:
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_every_watcher_sees_what_a_list_shows(postgres_server: str, template_database: str) -> None:
    with running_loop() as loop:

        class Bound(Machine):
            """The machine, on this worker's server."""

        Bound.server, Bound.template, Bound.loop = postgres_server, template_database, loop
        run_state_machine_as_test(
            Bound,
            settings=settings(
                max_examples=FORM.machine_examples,
                stateful_step_count=STEPS,
                deadline=None,
                print_blob=True,
                # A smaller example is not worth the minutes that it takes; the steps are printed as they are.
                phases=(Phase.explicit, Phase.reuse, Phase.generate),
                suppress_health_check=(
                    HealthCheck.too_slow,
                    HealthCheck.data_too_large,
                    HealthCheck.large_base_example,
                ),
            ),
        )
