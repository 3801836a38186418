"""The same request has the same answer on every transport: status, headers, messages, trailers and details."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.api.services import SERVICES
from tests.api.calls import create, create_application
from tests.identity.tokens import bearing, oidc_settings
from tests.postgres import cloned_database
from tests.rpc.served import Method, served_methods
from tests.service import Service, running_service
from tests.transports import paths
from tests.transports.raw import Answer, call, raw_connection
from tests.transports.transports import GRPCIO, TRANSPORTS, on
from tests.web.test_same_faults import CONTENTS, REQUESTS, of_content

pytestmark = pytest.mark.asyncio(loop_scope="module")
DETAILS = "grpc-status-details-bin"
