"""Who a job runs as: one unprivileged uid per slot when the agent is root, else the agent's own.

Root inside a user namespace would still be root outside for every file it can reach, so a root
agent drops each job to uid 200000 + slot before bubblewrap starts. Slots are flock()ed files, so
that several agents on one machine never share a uid (RLIMIT_NPROC and file rights go by uid).
"""

from __future__ import annotations

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gridnode.sandbox.spec import SandboxUnavailable

UID_BASE = 200_000
SLOT_COUNT = 1_000
LOCK_FOLDER = Path("/run/gridnode-slots")


@dataclass(slots=True)
class Slot:
    """The identity of one running job; `uid` is None for an agent that is an ordinary user."""

    uid: int | None
    lock_fd: int | None = None

    def release(self) -> None:
        """Gives the uid back; harmless when called twice."""
        if self.lock_fd is not None:
            os.close(self.lock_fd)
            self.lock_fd = None


def is_root() -> bool:
    """Whether jobs get uids of their own (the agent is root and those uids exist here).

    Raises: SandboxUnavailable for a root of a user namespace that does not map the uids: dropping
    is impossible there, and without it a job would be the namespace's owner outside.
    """
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, length = (int(field) for field in line.split())
        if first <= UID_BASE and first + length >= UID_BASE + SLOT_COUNT:
            return True
    raise SandboxUnavailable(
        "uid_range_unmapped",
        f"the agent is root in a user namespace without uids {UID_BASE} to "
        f"{UID_BASE + SLOT_COUNT - 1}; map them, or run the agent as an ordinary user",
    )


def take_slot(*, root: bool) -> Slot:
    """Reserves an identity until `release`. Raises: SandboxUnavailable when all are taken."""
    if not root:
        return Slot(uid=None)
    LOCK_FOLDER.mkdir(mode=0o700, exist_ok=True)
    first = secrets.randbelow(SLOT_COUNT)  # spreads jobs: per-uid counts of the kernel lag behind
    for number in (*range(first, SLOT_COUNT), *range(first)):
        lock_fd = os.open(LOCK_FOLDER / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            continue
        return Slot(uid=UID_BASE + number, lock_fd=lock_fd)
    raise SandboxUnavailable("slots_exhausted", f"all {SLOT_COUNT} sandbox uids are in use")
