"""Etags: opaque texts that differ for each version of each resource."""

from datetime import datetime
from hashlib import blake2b


def etag_of(resource_id: str, version: int, update_time: datetime) -> str:
    """Return the etag of a version, by the time of its commit.

    The time makes it differ after a restore, too, where another commit may make a version with the same number.
    """
    return blake2b(f"{resource_id} {version} {update_time.timestamp():.6f}".encode(), digest_size=12).hexdigest()
