"""File locks that say who is alive: the kernel drops them when the last holder is gone."""

import fcntl
import os
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Take an exclusive lock on `path` without waiting; return its descriptor, None if held.

    A descriptor that is handed to a child (pass_fds) keeps the lock until that child and all its
    own children are gone, killed or not. So a free lock proves that no orphan is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
