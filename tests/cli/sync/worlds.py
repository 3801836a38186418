"""Trees and live states that tests make, and a service that applies plans to a live state, without any I/O."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from configsvc.cli.sync.plans import ApplicationPlan, Change, Kind, Plan
from configsvc.cli.sync.state import (
    Live,
    LiveApplication,
    LiveBinding,
    LiveConfiguration,
    LiveSchema,
    Mark,
    SourceId,
)
from configsvc.cli.sync.tree import ApplicationFolder, ConfigurationFile, SchemaFile, Tree

OURS = SourceId(repository="https://git.example.com/configs.git")
EMPTY = Live(epoch="e", revision=1, applications={}, configurations={}, schemas={}, marks={})


def file_of(name: str, config: Any = None, application: str = "shop", **more: Any) -> ConfigurationFile:
    path = PurePosixPath(f"applications/{application}/{name}.yaml")
    return ConfigurationFile(application=application, name=name, path=path, config=config or {}, **more)


def folder_of(*files: ConfigurationFile, name: str = "shop", **more: Any) -> ApplicationFolder:
    path = PurePosixPath(f"applications/{name}")
    return ApplicationFolder(name=name, path=path, configurations={file.name: file for file in files}, **more)


def tree_of(*folders: ApplicationFolder, schemas: Mapping[str, Any] | None = None) -> Tree:
    made = {
        name: SchemaFile(name=name, path=PurePosixPath(f"schemas/{name}.json"), document=document)
        for name, document in (schemas or {}).items()
    }
    return Tree(schemas=made, applications={folder.name: folder for folder in folders})


class World:
    """A live state that changes: by plans as the service would apply them, and by hand."""

    def __init__(self, live: Live = EMPTY) -> None:
        self.live = live
        self._next = 0

    def _new_id(self) -> str:
        self._next += 1
        return f"id{self._next}"

    def named(self, name: str, application: str = "shop") -> LiveConfiguration:
        (found,) = (
            one for one in self.live.configurations.values() if (one.application, one.name) == (application, name)
        )
        return found

    def apply(self, plan: Plan) -> None:
        """Apply a plan without problems."""
        assert not plan.problems
        assert plan.revision == self.live.revision
        for change in plan.schemas:
            stored = LiveSchema(name=change.file.name, version=change.version, document=change.file.document)
            self._set(schemas={**self.live.schemas, stored.name: stored})
        for application in plan.applications:
            self._apply_application(application, plan.source)
        self._set(revision=self.live.revision + 1)

    def _apply_application(self, plan: ApplicationPlan, source: SourceId) -> None:
        before = plan.live or LiveApplication(id=self._new_id(), name=plan.name, bindings=())
        comments = before.comments if plan.comments is None else plan.comments
        kept = [binding for binding in before.bindings or () if binding not in plan.removed_bindings]
        bindings = (*kept, *(LiveBinding(id=self._new_id(), binding=one) for one in plan.new_bindings))
        after = replace(before, comments=comments, bindings=bindings, owner=None if plan.releases else source)
        applications = {**self.live.applications, plan.name: after}
        marks = {key: mark for key, mark in self.live.marks.items() if key not in plan.dropped}
        self._set(applications=applications, marks=marks)
        for one in plan.refreshed:
            self._mark(one)
        for kind in (Kind.DELETE, Kind.RENAME, Kind.UPDATE, Kind.CREATE):
            for change in plan.changes:
                if change.kind is kind:
                    self._apply_change(change)
        if plan.deletes:
            assert not [one for one in self.live.configurations.values() if one.application == plan.name]
            del applications[plan.name]

    def _apply_change(self, change: Change) -> None:
        if change.kind is Kind.DELETE:
            assert change.live is not None
            self.delete(change.live.id)
            self._set(marks={key: mark for key, mark in self.live.marks.items() if key != change.live.id})
            return
        file = change.file
        assert file is not None
        before = change.live or LiveConfiguration(
            id=self._new_id(), application=change.application, name=file.name, version=0, config=None
        )
        taken = {
            one.name
            for one in self.live.configurations.values()
            if one.application == change.application and one.id != before.id
        }
        assert file.name not in taken
        comments = before.comments if file.comments is None else file.comments
        after = replace(before, name=file.name, config=file.config, schema=change.pin, comments=comments)
        assert after != before
        after = replace(after, version=before.version + 1)
        self._set(configurations={**self.live.configurations, after.id: after})
        self._mark(after)

    def _mark(self, one: LiveConfiguration) -> None:
        mark = Mark(id=one.id, application=one.application, name=one.name, version=one.version, applied=one)
        self._set(marks={**self.live.marks, one.id: mark})

    def by_hand(self, name: str, application: str = "shop", /, **values: Any) -> LiveConfiguration:
        """Change a configuration, or create it."""
        found = [one for one in self.live.configurations.values() if (one.application, one.name) == (application, name)]
        if found:
            after = replace(found[0], version=found[0].version + 1, **values)
        else:
            if application not in self.live.applications:
                new = LiveApplication(id=self._new_id(), name=application, bindings=())
                self._set(applications={**self.live.applications, application: new})
            config = values.pop("config", {})
            after = LiveConfiguration(
                id=self._new_id(), application=application, name=name, version=1, config=config, **values
            )
        self._set(configurations={**self.live.configurations, after.id: after}, revision=self.live.revision + 1)
        return after

    def delete(self, identifier: str) -> None:
        kept = {key: one for key, one in self.live.configurations.items() if key != identifier}
        self._set(configurations=kept, revision=self.live.revision + 1)

    def _set(self, **values: Any) -> None:
        self.live = replace(self.live, **values)
