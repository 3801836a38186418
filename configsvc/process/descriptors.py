"""File descriptors of this process: the standard ones, and how many it may open."""

import os
import resource
from contextlib import suppress

STANDARD_DESCRIPTORS = (0, 1, 2)
# Each takes about 15 KiB. Some descriptors are left for the database and files.
MAX_CONNECTIONS = 20_000
OTHER_DESCRIPTORS = 200


def open_standard_descriptors() -> None:
    """Open /dev/null for each standard descriptor that is closed, before a socket or a file gets its number."""
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            _open_nothing(descriptor)


def _open_nothing(descriptor: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    os.dup2(opened, descriptor)
    # Programs that this one starts need it too.
    os.set_inheritable(descriptor, True)
    if opened != descriptor:
        os.close(opened)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, as this process does not use select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS reports no hard limit, and refuses to remove the soft one.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit(doors: int) -> int:
    """Return how many connections each of the doors may have: so many that descriptors are left for anything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(descriptors - OTHER_DESCRIPTORS, descriptors // 2) // doors)
