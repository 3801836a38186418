"""The mark of tests, or of cases of them, that are about gRPC alone."""

import pytest

GRPC_ONLY = "grpc_only"


def grpc_only(reason: str) -> pytest.MarkDecorator:
    """Return the mark that keeps a test off the HTTP door, for a reason."""
    return getattr(pytest.mark, GRPC_ONLY)(reason)
