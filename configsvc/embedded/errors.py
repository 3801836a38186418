"""What goes wrong with the embedded PostgreSQL."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL can't be prepared, started or stopped; the text is for people."""
