"""What a failed execution says: about the job, or about the node."""

from collections import Counter
from collections.abc import Iterable

from opengrid.messages import ExitReason

JOB_CAUSED = frozenset(
    {
        ExitReason.NONZERO_EXIT,
        ExitReason.OOM,
        ExitReason.WALL,
        ExitReason.CPU,
        ExitReason.DISK_QUOTA,
        ExitReason.FILE_COUNT,
        ExitReason.STDOUT_LIMIT,
        ExitReason.BAD_INPUT,
        ExitReason.BAD_OUTPUT,
    }
)
"""Reasons that a second owner can confirm: the job itself cannot succeed."""

CONFIRMATIONS = 2
TRIES_PER_OWNER = 2
"""An owner whose tries of a task ended so often without a result leaves it to other owners, while there are any:
one broken machine must not use up the claims of every task."""

COUNTING = frozenset({"RUNNING", "SUBMITTED", "ACCEPTED", "REJECTED"})
"""States of an attempt that keep its owner from running the task again."""
FRUITLESS = frozenset({"FAILED", "LOST"})


def barred(attempts: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Owners that may not take a task (again), from the (owner, state) pairs of its attempts."""
    tries: Counter[str] = Counter()
    found: set[str] = set()
    for owner, state in attempts:
        tries[owner] += state in FRUITLESS
        if state in COUNTING or tries[owner] >= TRIES_PER_OWNER:
            found.add(owner)
    return frozenset(found)


def confirmed(failures: Iterable[tuple[str, str]]) -> str | None:
    """The job-caused reason that enough owners reported, from (owner, reason) pairs; None if there is none."""
    owners: dict[str, set[str]] = {}
    for owner, reason in failures:
        if reason in JOB_CAUSED:
            owners.setdefault(reason, set()).add(owner)
            if len(owners[reason]) >= CONFIRMATIONS:
                return reason
    return None
