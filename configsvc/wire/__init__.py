"""Protobuf to domain and back: the one door to `generated/`."""
