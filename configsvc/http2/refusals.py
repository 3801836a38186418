"""Refusals by the transport itself, before or beside any method."""

from google.rpc.code_pb2 import Code


class RefusedError(Exception):
    """The transport ends a call with a code and a text, without details."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class HttpRefusedError(Exception):
    """The request is no gRPC: the transport answers with a status of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
