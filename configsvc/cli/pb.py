# pyright: reportUnusedImport=false
"""The messages and stubs of the contract, imported at their first use: help and usage errors need none of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.longrunning.operations_pb2 import (
        CancelOperationRequest,
        DeleteOperationRequest,
        GetOperationRequest,
        ListOperationsRequest,
        Operation,
        WaitOperationRequest,
    )
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
    from google.rpc.status_pb2 import Status

    from configapi.v1.access_service_pb2 import (
        Authentication,
        CreateRoleBindingRequest,
        DeleteRoleBindingRequest,
        GetCallerRequest,
        GetCallerResponse,
        ListRoleBindingsRequest,
        Role,
        RoleBinding,
    )
    from configapi.v1.application_pb2 import Application, ApplicationRef
    from configapi.v1.application_service_pb2 import (
        CreateApplicationRequest,
        DeleteApplicationRequest,
        GetApplicationRequest,
        ListApplicationsRequest,
        UpdateApplicationRequest,
    )
    from configapi.v1.audit_service_pb2 import Change, ListChangesRequest, ResourceKind
    from configapi.v1.batch_failure_pb2 import BatchFailure
    from configapi.v1.change_pb2 import ChangeOrigin, ChangeType
    from configapi.v1.configuration_pb2 import (
        CONFIGURATION_VIEW_BASIC,
        CONFIGURATION_VIEW_FULL,
        Configuration,
        ConfigurationKey,
    )
    from configapi.v1.configuration_service_pb2 import (
        EFFECT_REMOVE,
        EFFECT_SET,
        IMPORT_MODE_ATOMIC,
        IMPORT_MODE_PER_ITEM,
        ConfigurationChangeItem,
        ConfigurationDeletionItem,
        ConfigurationEvent,
        ConfigurationItem,
        ConfigurationVersion,
        ConfigurationWrite,
        CreateConfigurationRequest,
        DeleteConfigurationRequest,
        DiffConfigurationVersionsRequest,
        ExportConfigurationsRequest,
        GetConfigurationRequest,
        GetConfigurationResponse,
        ImportConfigurationsRequest,
        ListConfigurationsRequest,
        ListConfigurationVersionsRequest,
        RollbackConfigurationRequest,
        UndeleteConfigurationRequest,
        UpdateConfigurationRequest,
        WatchConfigurationsRequest,
        WatchConfigurationsResponse,
        WatchInstance,
    )
    from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
    from configapi.v1.operation_service_pb2 import (
        ImportConfigurationsResult,
        ListOperationItemsRequest,
        MigrateConfigurationsResult,
        OperationItem,
        OperationMetadata,
    )
    from configapi.v1.schema_pb2 import (
        CLOSING_AS_WRITTEN,
        CLOSING_CLOSED,
        SCHEMA_VIEW_BASIC,
        SCHEMA_VIEW_FULL,
        Schema,
        SchemaVersion,
        SchemaVersionRef,
    )
    from configapi.v1.schema_service_pb2 import (
        SCHEMA_VERSION_MODE_PINNED,
        SCHEMA_VERSION_MODE_STRICT,
        CheckSchemaVersionRequest,
        CheckSchemaVersionResponse,
        CreateSchemaRequest,
        DeleteSchemaRequest,
        GetSchemaRequest,
        GetSchemaVersionRequest,
        ImportedSchema,
        ImportSchemasRequest,
        ListSchemasRequest,
        ListSchemaVersionsRequest,
        MigrateConfigurationsRequest,
        SchemaImport,
    )
    from configapi.v1.selector_pb2 import ConfigurationSelector, Precondition
    from configapi.v1.server_service_pb2 import GetServerStatusRequest, GetServerStatusResponse
    from configapi.v1.source_pb2 import AppliedConfiguration, Source, SourceRevision
    from configapi.v1.source_service_pb2 import (
        ApplySourceRequest,
        ApplySourceResponse,
        ListAppliedConfigurationsRequest,
        ListSourcesRequest,
        ReleaseSourceRequest,
    )

_MODULES = (
    "configapi.v1.configuration_service_pb2",
    "configapi.v1.configuration_pb2",
    "configapi.v1.application_pb2",
    "configapi.v1.application_service_pb2",
    "configapi.v1.selector_pb2",
    "configapi.v1.content_pb2",
    "configapi.v1.change_pb2",
    "configapi.v1.schema_pb2",
    "configapi.v1.schema_service_pb2",
    "configapi.v1.access_service_pb2",
    "configapi.v1.audit_service_pb2",
    "configapi.v1.batch_failure_pb2",
    "configapi.v1.operation_service_pb2",
    "configapi.v1.server_service_pb2",
    "configapi.v1.source_pb2",
    "configapi.v1.source_service_pb2",
    "google.longrunning.operations_pb2",
    "google.protobuf.duration_pb2",
    "google.protobuf.empty_pb2",
    "google.protobuf.field_mask_pb2",
    "google.protobuf.message",
    "google.protobuf.timestamp_pb2",
    "google.rpc.error_details_pb2",
    "google.rpc.status_pb2",
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    for module in map(import_module, _MODULES):
        if hasattr(module, name):
            globals()[name] = getattr(module, name)
            return globals()[name]
    raise AttributeError(name)
