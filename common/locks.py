"""Advisory transaction locks in one global order, so that no two acts can wait for each other.

Key spaces are taken in the order of `Space`, keys inside a space in ascending order. A lock is held
until the transaction ends; locking outside a transaction is refused.
"""

import hashlib
from collections.abc import Iterable
from enum import IntEnum

from django.db import connection


class Space(IntEnum):
    """Key spaces in the order in which they must be taken."""

    REQUEST = 0
    COOPERATIVE = 1
    NODE = 2
    JOB = 3
    HOLD = 4
    LEDGER_ACCOUNT = 5


class NotInTransaction(RuntimeError):
    """A transaction lock was asked for where it would be given back at once."""


def lock(space: Space, keys: Iterable[int | str]) -> None:
    """Take the locks of `keys` in `space`, sorted. Raises: NotInTransaction."""
    if not connection.in_atomic_block:
        raise NotInTransaction(f"lock({space.name}) outside a transaction")
    with connection.cursor() as cursor:
        for key in sorted({_number(key) for key in keys}):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [int(space), key])


def _number(key: int | str) -> int:
    """A signed 32-bit lock key. Two texts may share one; that costs waiting, never correctness."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return int.from_bytes(digest[:4], "big", signed=True)
