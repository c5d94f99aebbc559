"""How many cores this process may use: its CPU affinity, and CPU quotas of its control groups.

A quota is invisible to a short measurement, because a process runs at full speed until it is paused.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_milli() -> int:
    """Cores this process may use, in thousandths; at least 1. Other load does not count."""
    affinity = len(os.sched_getaffinity(0)) * 1000
    membership = MEMBERSHIP.read_text() if MEMBERSHIP.exists() else ""
    return max(1, min([affinity, *quotas_milli(membership, CGROUP_ROOT)]))


def quotas_milli(membership: str, root: Path) -> Iterator[int]:
    """Every CPU quota that applies, in thousandths of a core.

    `membership` is the text of /proc/self/cgroup; quotas of all parent groups apply too. Inside a
    container the named path may be absent, and the mount point is the group itself.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, read = root, _quota_v2
        elif "cpu" in controllers.split(","):
            mount, read = root / "cpu", _quota_v1
        else:
            continue
        group = mount / path.lstrip("/")
        for each in (group, *group.parents):
            if each.is_relative_to(mount):
                yield from read(each)


def _quota_v2(group: Path) -> Iterator[int]:
    """cpu.max reads `max 100000` or `50000 100000`: microseconds in each period."""
    file = group / "cpu.max"
    if file.exists():
        quota, period = file.read_text().split()
        if quota != "max":
            yield int(quota) * 1000 // int(period)


def _quota_v1(group: Path) -> Iterator[int]:
    """cpu.cfs_quota_us is -1 without a quota."""
    quota, period = group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us"
    if quota.exists() and period.exists() and int(quota.read_text()) > 0:
        yield int(quota.read_text()) * 1000 // int(period.read_text())
