"""The executor the agent talks to: start, poll, cancel, collect, reap_orphans.

No job starts before `admit` was given a passed self-test of exactly this configuration
(gridnode.selftest does both); there is no way to run one outside the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import platform
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gridnode import runtime as runtimes
from gridnode.runtime import Runtime
from gridnode.sandbox import bwrap, cgroups, inputs, orphans, outdir, seccomp, slots, supervise, watch
from gridnode.sandbox.spec import (
    JobHandle,
    JobRefused,
    JobSpec,
    JobStatus,
    Outcome,
    Reason,
    SandboxUnavailable,
)

OnTail = Callable[[bytes], None]
_FINISHED_KEPT = 64


@dataclass(frozen=True, slots=True)
class Config:
    """What a self-test is valid for; `key` changes with any part of it."""

    boot_id: str
    kernel: str
    bwrap_version: str
    runtime_digest: str
    cgroup: str
    root: bool
    filter_sha256: str

    @property
    def key(self) -> str:
        """Hex sha256 over all parts."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


class Sandbox:
    """Runs jobs in bubblewrap, any number at once. All methods may be called from any thread.

    `work_root` belongs to one agent process at a time; as root it must be reachable by any uid.
    Raises on construction: SandboxUnavailable, naming what is missing and what would help.
    """

    def __init__(self, *, runtime: Runtime, work_root: Path) -> None:
        self._work_root = work_root.absolute()
        self._lock = threading.Lock()
        self._jobs: dict[str, supervise.RunningJob] = {}
        self._admitted_key: str | None = None
        bubblewrap, root = bwrap.find(), slots.is_root()
        self._folder_lock = _own(self._work_root, root=root)
        groups = cgroups.detect()
        self._site = supervise.Site(
            bubblewrap=bubblewrap,
            runtime=runtime,
            groups=groups,
            jobs_folder=self._work_root / "jobs",
            instance=hashlib.sha256(os.fsencode(self._work_root)).hexdigest()[:8],
            root=root,
        )

    @property
    def config(self) -> Config:
        """The configuration of this sandbox at this moment."""
        site = self._site
        return Config(
            boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            kernel=platform.release(),
            bwrap_version=site.bubblewrap.version,
            runtime_digest=site.runtime.digest,
            cgroup=site.groups.kind if site.groups is not None else "",
            root=site.root,
            filter_sha256=hashlib.sha256(seccomp.program()).hexdigest(),
        )

    @property
    def work_root(self) -> Path:
        """The folder that this sandbox owns."""
        return self._work_root

    @property
    def has_cpu_share(self) -> bool:
        """Whether `cpu_share_milli` is enforced (needs a cgroup)."""
        return self._site.groups is not None and self._site.groups.has_cpu

    def admit(self, key: str | None) -> None:
        """Opens the sandbox for jobs under a configuration key that passed; None closes it."""
        self._admitted_key = key

    def start(self, spec: JobSpec, in_dir: Path, out_dir: Path, on_tail: OnTail | None = None) -> JobHandle:
        """Starts a job; returns at once. `in_dir` appears read-only as /in and must hold plain
        files only; what the job writes to /out arrives in `out_dir` (missing or empty) when it
        ends well. `on_tail` gets the last 4 KiB of stdout at most five times a second, in the
        job's thread. Raises: SandboxUnavailable before a passed self-test; JobRefused."""
        if self._admitted_key is None or self._admitted_key != self.config.key:
            raise SandboxUnavailable("self_test_not_passed", "the sandbox has not passed its self-test as it is now")
        return self.start_probe(spec, in_dir, out_dir, on_tail)

    def start_probe(self, spec: JobSpec, in_dir: Path, out_dir: Path, on_tail: OnTail | None = None) -> JobHandle:
        """`start` for the self-test's own jobs, which must run before admission. Never give it
        anybody else's code."""
        in_dir, out_dir = in_dir.absolute(), out_dir.absolute()
        if not in_dir.is_dir():
            raise JobRefused("input_missing", f"{in_dir} is not a folder")
        if out_dir.exists() and any(out_dir.iterdir()):
            raise JobRefused("output_not_empty", f"{out_dir} already holds files")
        if self._site.root:
            try:
                runtimes.require_reachable(in_dir.parent)
            except PermissionError as error:
                raise SandboxUnavailable("input_unreachable", str(error)) from error
        inputs.require_plain(in_dir)
        outdir.require_possible(spec.limits, root=self._site.root)
        job_id = secrets.token_hex(8)
        job = supervise.RunningJob(
            site=self._site,
            job_id=job_id,
            spec=spec,
            in_dir=in_dir,
            out_dir=out_dir,
            on_tail=on_tail,
            promised_pids=lambda: self._promised_pids(except_for=job_id),
        )
        with self._lock:
            self._forget_old()
            self._jobs[job_id] = job
        job.start()
        return JobHandle(job_id)

    def poll(self, handle: JobHandle) -> JobStatus:
        """Where the job stands. A handle of an earlier agent process is `lost`."""
        job = self._jobs.get(handle.job_id)
        if job is None:
            return JobStatus(False, _lost())
        return JobStatus(not job.done.is_set(), job.outcome)

    def cancel(self, handle: JobHandle) -> None:
        """Ends the job with reason `cancelled`; nothing happens if it is over or unknown."""
        job = self._jobs.get(handle.job_id)
        if job is not None:
            job.cancel()

    def collect(self, handle: JobHandle, timeout_seconds: float | None = None) -> Outcome:
        """Waits for the end and gives the outcome; nothing of the job is left by then.

        Raises: TimeoutError if it is still running after `timeout_seconds`.
        """
        job = self._jobs.get(handle.job_id)
        if job is None:
            return _lost()
        if not job.done.wait(timeout_seconds):
            raise TimeoutError(f"job {handle.job_id} is still running")
        assert job.outcome is not None
        return job.outcome

    def run(self, spec: JobSpec, in_dir: Path, out_dir: Path, on_tail: OnTail | None = None) -> Outcome:
        """`start` and `collect` in one."""
        return self.collect(self.start(spec, in_dir, out_dir, on_tail))

    async def run_async(self, spec: JobSpec, in_dir: Path, out_dir: Path, on_tail: OnTail | None = None) -> Outcome:
        """`run` for an event loop. Cancelling the awaiting task cancels the job and waits until
        nothing of it is left."""
        handle = self.start(spec, in_dir, out_dir, on_tail)
        waiting = asyncio.ensure_future(asyncio.to_thread(self.collect, handle))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self.cancel(handle)
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            raise

    def processes_of(self, handle: JobHandle) -> list[int]:
        """The pids (as the agent sees them) of a running job, its namespace's init first."""
        job = self._jobs.get(handle.job_id)
        init_pid = job.init_pid if job is not None else None
        if job is None or init_pid is None or job.done.is_set():
            return []
        return watch.family(init_pid)

    def reap_orphans(self) -> orphans.Reaped:
        """Cleans up after an earlier agent that crashed. Call at agent start, before any job.

        Raises: SandboxUnavailable if something cannot be removed, or if jobs are running.
        """
        if any(not job.done.is_set() for job in self._jobs.values()):
            raise SandboxUnavailable("jobs_running", "orphans are reaped before jobs are started")
        site = self._site
        return orphans.reap(site.jobs_folder, instance=site.instance, groups=site.groups)

    def close(self) -> None:
        """Cancels every job, waits for the end of each and gives the work folder back."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.done.wait()
        self._admitted_key = None
        if self._folder_lock >= 0:
            os.close(self._folder_lock)
            self._folder_lock = -1

    def _promised_pids(self, *, except_for: str) -> int:
        with self._lock:
            return sum(
                cgroups.process_ceiling(job.spec.limits)
                for job in self._jobs.values()
                if not job.done.is_set() and job.job_id != except_for
            )

    def _forget_old(self) -> None:
        finished = [job_id for job_id, job in self._jobs.items() if job.done.is_set()]
        for job_id in finished[:-_FINISHED_KEPT]:
            del self._jobs[job_id]


def _lost() -> Outcome:
    return Outcome(Reason.LOST, detail="no such job in this agent process")


def _own(work_root: Path, *, root: bool) -> int:
    """Makes and locks the agent's work folder; the descriptor holds the lock."""
    try:
        for folder in (work_root, work_root / "jobs"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        if root:
            os.chmod(work_root / "jobs", 0o711)  # noqa: S103 - passable, not readable
            runtimes.require_reachable(work_root / "jobs")
    except PermissionError as error:
        raise SandboxUnavailable(
            "work_root_unreachable",
            f"{error}; a root agent's jobs run as other uids: choose a folder such as "
            "/var/lib/gridnode, all of whose parents can be passed (o+x)",
        ) from error
    except OSError as error:
        raise SandboxUnavailable("work_root_unusable", str(error)) from error
    lock = os.open(work_root / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise SandboxUnavailable(
            "work_root_in_use", f"another agent is using {work_root}; give each its own folder"
        ) from error
    return lock
