"""Errors of the embedded PostgreSQL."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be prepared, started or stopped. The text tells the operator why."""
