"""File descriptors: whether any is left for this process."""

import errno
import os

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})


def shortage() -> int:
    """Return the error number if no file can be opened for want of descriptors, otherwise 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in EXHAUSTED:
            return error.errno or 0
    return 0


def is_shortage(error: BaseException) -> bool:
    """Return whether an error means that no file descriptor was left."""
    return isinstance(error, OSError) and error.errno in EXHAUSTED
