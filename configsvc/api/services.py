"""The services that every transport serves."""

from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import ServiceDescriptor

from configapi.v1 import (
    access_service_pb2,
    application_service_pb2,
    audit_service_pb2,
    configuration_service_pb2,
    operation_service_pb2,
    schema_service_pb2,
    server_service_pb2,
    source_service_pb2,
)

SERVICES: tuple[ServiceDescriptor, ...] = (
    application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"],
    configuration_service_pb2.DESCRIPTOR.services_by_name["ConfigurationService"],
    operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"],
    operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"],
    schema_service_pb2.DESCRIPTOR.services_by_name["SchemaService"],
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"],
    source_service_pb2.DESCRIPTOR.services_by_name["SourceService"],
)
