"""What a job's processes use, from /proc: the watchdog of nodes where no cgroup can be written.

The processes are found from the namespace's first process downwards; orphans are re-parented to
it, so none can leave that tree. Memory counts anonymous pages once however many processes share
them, and everything kept in the job's tmpfs folders, with a KiB for each file.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from gridnode.sandbox import outdir

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_INODE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """Tasks (threads of all processes but the first), memory and CPU time at one moment."""

    tasks: int
    memory_bytes: int
    cpu_ms: int


def started_at(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (with the pid it names it for good)."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    """The parent's pid, or None if there is no such process."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def uid_of(pid: int) -> int | None:
    """The real uid of a process as seen by the agent, or None if there is no such process."""
    for key, value in _status(pid):
        if key == "Uid":
            return int(value.split()[0])
    return None


def family(init_pid: int) -> list[int]:
    """The process and all its descendants."""
    found, todo = [], [init_pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    children = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                    todo += [int(child) for child in children.split()]
    return found


def sample(init_pid: int, folders: list[int], *, memory_limit: int) -> Sample:
    """Measures the family of `init_pid` and the tmpfs folders behind the descriptors `folders`.

    Pages shared after fork are first counted in each process; only if that sum exceeds
    `memory_limit` is the kernel asked for the exact proportional figures.
    """
    pids = family(init_pid)
    tasks = cpu_ticks = memory = 0
    for pid in pids:
        status = dict(_status(pid))
        memory += 1024 * sum(_kib(status.get(key)) for key in ("RssAnon", "RssShmem", "VmSwap"))
        if pid != init_pid:
            tasks += int(status.get("Threads", "1"))
        if fields := _stat_fields(pid):
            cpu_ticks += sum(int(field) for field in fields[11:15])
    in_files = sum(outdir.bytes_used(fd) + outdir.files_used(fd) * _INODE_BYTES for fd in folders)
    if memory + in_files > memory_limit:
        memory = sum(_proportional_bytes(pid) for pid in pids)
    return Sample(tasks, memory + in_files, cpu_ticks * 1_000 // _TICKS_PER_SECOND)


def tasks_of_uid(uid: int) -> int:
    """How many tasks RLIMIT_NPROC counts for a user: all threads of all the user's processes."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            status = dict(_status(int(name)))
            if status.get("Uid", "-1").split()[0] == str(uid):
                total += int(status.get("Threads", "1"))
    return total


def _proportional_bytes(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in ("Pss_Anon", "Pss_Shmem", "SwapPss"):
                total += 1024 * _kib(value)
    return total


def _status(pid: int) -> list[tuple[str, str]]:
    pairs = []
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            pairs.append((key, value.strip()))
    return pairs


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name: [0] is the state, [1] the parent's pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _kib(value: str | None) -> int:
    return int(value.split()[0]) if value else 0
