"""Cleans up what an agent that crashed or was killed left behind: processes, mounts, cgroups.

Jobs normally die with their agent (bubblewrap's --die-with-parent); this makes sure of it and
removes the rest. A pid is only touched if its start time is the recorded one, as pids are reused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from gridnode.sandbox import cgroups, outdir, supervise, watch
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
    state = {}
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((folder / "state.json").read_text())
    killed = 0
    if state.get("init_pid") and state.get("init_started"):
        killed = _kill_namespace(int(state["init_pid"]), int(state["init_started"]))
    cgroups.remove([path for path in state.get("cgroups", []) if "/gridnode-" in path])
    outdir.unmount(folder / "out")
    supervise.remove_job_folder(folder)
    return killed


def _kill_namespace(pid: int, started: int) -> int:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    try:
        if watch.started_at(pid) != started:
            return 0
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(int(supervise.DEATH_SECONDS * 1000)):
            raise SandboxUnavailable("kill_failed", f"process {pid} of an earlier job did not die")
        return 1
    finally:
        os.close(pidfd)
