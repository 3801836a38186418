"""Sizes that several rooms keep to."""

# What gRPC clients take without being told to take more is 4 MiB.
MAX_RESPONSE_BYTES = 3 * 1024 * 1024
