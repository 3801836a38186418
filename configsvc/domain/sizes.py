"""Limits on the size of what the service sends."""

# gRPC clients accept messages of 4 MiB by default.
MAX_RESPONSE_BYTES = 3 * 1024 * 1024
MAX_REQUEST_BYTES = 4 * 1024 * 1024
