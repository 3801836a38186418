"""Every RPC: the role it needs, and a request for each target. No request changes anything."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.longrunning import operations_proto_pb2 as operations
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from configapi.v1 import access_service_pb2 as access
from configapi.v1 import application_service_pb2 as applications
from configapi.v1 import audit_service_pb2 as audit
from configapi.v1 import configuration_service_pb2 as configurations
from configapi.v1 import operation_service_pb2 as items
from configapi.v1 import schema_service_pb2 as schemas
from configapi.v1 import server_service_pb2 as server
from configapi.v1 import source_service_pb2 as sources
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.configuration_pb2 import Configuration, ConfigurationRef
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.source_pb2 import SourceRevision
from configsvc.domain.access import Role
from tests.access.people import Person, Target, key
from tests.service import struct


class About(Enum):
    """The resource that the role is needed for."""

    APPLICATION = "the application that the request is about"
    ANY = "any application"
    ALL = "all applications"
    OPERATION = "nothing, by who began the operation; else for all applications"


NEEDED: dict[str, tuple[Role, About]] = {
    "CreateApplication": (Role.ADMIN, About.ALL),
    "GetApplication": (Role.VIEWER, About.APPLICATION),
    "ListApplications": (Role.VIEWER, About.ANY),
    "UpdateApplication": (Role.ADMIN, About.APPLICATION),
    "DeleteApplication": (Role.ADMIN, About.APPLICATION),
    "CreateConfiguration": (Role.EDITOR, About.APPLICATION),
    "GetConfiguration": (Role.VIEWER, About.APPLICATION),
    "BatchGetConfigurations": (Role.VIEWER, About.APPLICATION),
    "ListConfigurations": (Role.VIEWER, About.APPLICATION),
    "UpdateConfiguration": (Role.EDITOR, About.APPLICATION),
    "DeleteConfiguration": (Role.EDITOR, About.APPLICATION),
    "BatchWriteConfigurations": (Role.EDITOR, About.APPLICATION),
    "ListConfigurationVersions": (Role.VIEWER, About.APPLICATION),
    "DiffConfigurationVersions": (Role.VIEWER, About.APPLICATION),
    "RollbackConfiguration": (Role.EDITOR, About.APPLICATION),
    "UndeleteConfiguration": (Role.EDITOR, About.APPLICATION),
    "ImportConfigurations": (Role.EDITOR, About.APPLICATION),
    "ExportConfigurations": (Role.VIEWER, About.APPLICATION),
    "WatchConfigurations": (Role.VIEWER, About.APPLICATION),
    "CreateSchema": (Role.ADMIN, About.ALL),
    "GetSchema": (Role.VIEWER, About.ANY),
    "GetSchemaVersion": (Role.VIEWER, About.ANY),
    "ListSchemas": (Role.VIEWER, About.ANY),
    "CreateSchemaVersion": (Role.ADMIN, About.ALL),
    "ListSchemaVersions": (Role.VIEWER, About.ANY),
    "CheckSchemaVersion": (Role.ADMIN, About.ALL),
    "DeleteSchema": (Role.ADMIN, About.ALL),
    "ImportSchemas": (Role.ADMIN, About.ALL),
    "MigrateConfigurations": (Role.EDITOR, About.APPLICATION),
    "ListOperationItems": (Role.ADMIN, About.OPERATION),
    "ListOperations": (Role.NONE, About.ANY),
    "GetOperation": (Role.ADMIN, About.OPERATION),
    "DeleteOperation": (Role.ADMIN, About.OPERATION),
    "CancelOperation": (Role.ADMIN, About.OPERATION),
    "WaitOperation": (Role.ADMIN, About.OPERATION),
    "ListChanges": (Role.VIEWER, About.APPLICATION),
    "GetServerStatus": (Role.NONE, About.ANY),
    "ListWatches": (Role.ADMIN, About.ALL),
    "CreateRoleBinding": (Role.ADMIN, About.APPLICATION),
    "ListRoleBindings": (Role.ADMIN, About.APPLICATION),
    "DeleteRoleBinding": (Role.ADMIN, About.APPLICATION),
    "GetCaller": (Role.NONE, About.ANY),
    "ListSources": (Role.VIEWER, About.APPLICATION),
    "ListAppliedConfigurations": (Role.VIEWER, About.APPLICATION),
    "ApplySource": (Role.EDITOR, About.APPLICATION),
    "ReleaseSource": (Role.EDITOR, About.APPLICATION),
    "AcquireSourceLease": (Role.VIEWER, About.ANY),
    "ReleaseSourceLease": (Role.VIEWER, About.ANY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A target, as requests name it: by ids or by names."""

    target: Target
    by_id: bool

    @property
    def application(self) -> dict[str, Any]:
        return {"id": self.target.application_id} if self.by_id else {"name": self.target.application}

    @property
    def of_application(self) -> dict[str, Any]:
        return {"application": ApplicationRef(**self.application)}

    @property
    def selector(self) -> ConfigurationSelector:
        return ConfigurationSelector(**self.of_application)

    @property
    def configuration(self) -> dict[str, Any]:
        return {"id": self.target.id} if self.by_id else {"key": key(self.target.application, self.target.name)}

    @property
    def operation(self) -> dict[str, Any]:
        return {"name": f"operations/{self.target.operation_id}"}

    @property
    def item(self) -> configurations.ConfigurationItem:
        return configurations.ConfigurationItem(
            application=ApplicationRef(name=self.target.application), name=self.target.name, config=struct({})
        )

    @property
    def write(self) -> configurations.ConfigurationWrite:
        if self.by_id:
            return configurations.ConfigurationWrite(
                deletion=configurations.ConfigurationDeletionItem(id=self.target.id)
            )
        return configurations.ConfigurationWrite(upsert=self.item)


DRY: dict[str, Any] = {"validate_only": True}
SCHEMA: dict[str, Any] = {"name": "schema"}
DOCUMENT: dict[str, Any] = {"document": struct({"type": "object"})}

REQUESTS: dict[str, Callable[[Named], Message]] = {
    "CreateApplication": lambda _: applications.CreateApplicationRequest(name="new", **DRY),
    "GetApplication": lambda one: applications.GetApplicationRequest(**one.application),
    "ListApplications": lambda _: applications.ListApplicationsRequest(),
    "UpdateApplication": lambda one: applications.UpdateApplicationRequest(
        **one.application, application=Application(comments="new"), **DRY
    ),
    "DeleteApplication": lambda one: applications.DeleteApplicationRequest(**one.application, force=True, **DRY),
    "CreateConfiguration": lambda one: configurations.CreateConfigurationRequest(
        **one.of_application, name="new", config=struct({}), **DRY
    ),
    "GetConfiguration": lambda one: configurations.GetConfigurationRequest(**one.configuration),
    "BatchGetConfigurations": lambda one: configurations.BatchGetConfigurationsRequest(
        refs=[ConfigurationRef(**one.configuration)]
    ),
    "ListConfigurations": lambda one: configurations.ListConfigurationsRequest(selector=one.selector),
    "UpdateConfiguration": lambda one: configurations.UpdateConfigurationRequest(
        **one.configuration, configuration=Configuration(comments="new"), **DRY
    ),
    "DeleteConfiguration": lambda one: configurations.DeleteConfigurationRequest(**one.configuration, **DRY),
    "BatchWriteConfigurations": lambda one: configurations.BatchWriteConfigurationsRequest(writes=[one.write], **DRY),
    "ListConfigurationVersions": lambda one: configurations.ListConfigurationVersionsRequest(**one.configuration),
    "DiffConfigurationVersions": lambda one: configurations.DiffConfigurationVersionsRequest(
        **one.configuration, from_version=1, to_version=1
    ),
    "RollbackConfiguration": lambda one: configurations.RollbackConfigurationRequest(
        **one.configuration, version=1, **DRY
    ),
    "UndeleteConfiguration": lambda one: configurations.UndeleteConfigurationRequest(**one.configuration, **DRY),
    "ImportConfigurations": lambda one: configurations.ImportConfigurationsRequest(items=[one.item], **DRY),
    "ExportConfigurations": lambda one: configurations.ExportConfigurationsRequest(selector=one.selector),
    "WatchConfigurations": lambda one: configurations.WatchConfigurationsRequest(selectors=[one.selector]),
    "CreateSchema": lambda _: schemas.CreateSchemaRequest(name="new", **DOCUMENT, **DRY),
    "GetSchema": lambda _: schemas.GetSchemaRequest(**SCHEMA),
    "GetSchemaVersion": lambda _: schemas.GetSchemaVersionRequest(**SCHEMA),
    "ListSchemas": lambda _: schemas.ListSchemasRequest(),
    "CreateSchemaVersion": lambda _: schemas.CreateSchemaVersionRequest(**SCHEMA, **DOCUMENT, **DRY),
    "ListSchemaVersions": lambda _: schemas.ListSchemaVersionsRequest(**SCHEMA),
    "CheckSchemaVersion": lambda _: schemas.CheckSchemaVersionRequest(**SCHEMA, **DOCUMENT),
    "DeleteSchema": lambda _: schemas.DeleteSchemaRequest(**SCHEMA, **DRY),
    "ImportSchemas": lambda _: schemas.ImportSchemasRequest(
        schemas=[schemas.ImportedSchema(name="schema", **DOCUMENT)], **DRY
    ),
    "MigrateConfigurations": lambda one: schemas.MigrateConfigurationsRequest(
        schema="schema", selector=ConfigurationSelector(**one.of_application), **DRY
    ),
    "ListOperationItems": lambda one: items.ListOperationItemsRequest(operation=one.operation["name"]),
    "ListOperations": lambda _: operations.ListOperationsRequest(),
    "GetOperation": lambda one: operations.GetOperationRequest(**one.operation),
    "DeleteOperation": lambda one: operations.DeleteOperationRequest(**one.operation),
    "CancelOperation": lambda one: operations.CancelOperationRequest(**one.operation),
    "WaitOperation": lambda one: operations.WaitOperationRequest(**one.operation, timeout=Duration()),
    "ListChanges": lambda one: audit.ListChangesRequest(**one.of_application),
    "GetServerStatus": lambda _: server.GetServerStatusRequest(),
    "ListWatches": lambda _: server.ListWatchesRequest(),
    "CreateRoleBinding": lambda one: access.CreateRoleBindingRequest(
        principal="user:new", role=access.ROLE_VIEWER, **one.of_application, **DRY
    ),
    "ListRoleBindings": lambda one: access.ListRoleBindingsRequest(**one.of_application),
    "DeleteRoleBinding": lambda one: access.DeleteRoleBindingRequest(id=one.target.role_binding_id, **DRY),
    "GetCaller": lambda _: access.GetCallerRequest(),
    "ListSources": lambda one: sources.ListSourcesRequest(**one.of_application),
    "ListAppliedConfigurations": lambda one: sources.ListAppliedConfigurationsRequest(**one.of_application),
    "ApplySource": lambda one: sources.ApplySourceRequest(
        **one.of_application, source=SourceRevision(repository="repository", commit="commit"), adopt=True, **DRY
    ),
    "ReleaseSource": lambda one: sources.ReleaseSourceRequest(**one.of_application, allow_missing=True, **DRY),
    "AcquireSourceLease": lambda _: sources.AcquireSourceLeaseRequest(
        repository="repository", holder="holder", duration=Duration(seconds=5)
    ),
    "ReleaseSourceLease": lambda _: sources.ReleaseSourceLeaseRequest(repository="repository", holder="holder"),
}


def is_allowed(method: str, person: Person, target: Target, owners: dict[str, Person]) -> bool:
    """Return whether the caller may call the method for the target. Owners of operations have the ids `owners`."""
    role, about = NEEDED[method]
    match about:
        case About.ANY:
            return person.role >= role
        case About.ALL:
            return person.everywhere >= role
        case About.APPLICATION:
            return person.role_for(target.application) >= role
        case About.OPERATION:
            return person.everywhere >= role or owners.get(target.operation_id) == person
