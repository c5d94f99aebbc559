"""Cleans up what an agent that crashed or was killed left behind: processes, mounts, cgroups.

Jobs normally die with their agent (bubblewrap's --die-with-parent); this makes sure of it and
removes the rest. A pid is only touched if its start time is the recorded one, as pids are reused.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from gridnode.sandbox import cgroups, jobdir, namespace, outdir, watch
from gridnode.sandbox.spec import SandboxUnavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reaped:
    """Which jobs were cleaned up after, how many of their namespaces were still alive, and how
    many cgroup folders without a job folder were removed."""

    jobs: tuple[str, ...] = ()
    killed: int = 0
    stray_cgroups: int = 0


def reap(jobs_folder: Path, *, instance: str, groups: cgroups.Groups | None) -> Reaped:
    """Cleans every job folder and every cgroup of this instance. Call only while no job of this
    process runs. Raises: SandboxUnavailable if something cannot be removed."""
    jobs, killed = [], 0
    for folder in sorted(jobs_folder.iterdir()) if jobs_folder.is_dir() else []:
        killed += _reap_job(folder)
        jobs.append(folder.name)
        logger.warning("cleaned up after sandbox job %s of an earlier agent", folder.name)
    stray = groups.leftovers(f"gridnode-{instance}-") if groups is not None else []
    cgroups.remove(stray)
    return Reaped(tuple(jobs), killed, len(stray))


def _reap_job(folder: Path) -> int:
    note = jobdir.read_note(folder)
    killed = _kill_namespace(*note.init) if note.init is not None else 0
    cgroups.remove(list(note.cgroups))
    outdir.unmount(folder / "out")
    jobdir.remove(folder)
    return killed


def _kill_namespace(pid: int, started: int) -> int:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    try:
        if watch.started_at(pid) != started:
            return 0
        if not namespace.kill(pidfd):
            raise SandboxUnavailable("kill_failed", f"process {pid} of an earlier job did not die")
        return 1
    finally:
        os.close(pidfd)
