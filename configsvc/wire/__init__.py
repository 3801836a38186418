"""Protobuf to domain and back. Knows the domain alone."""
