"""One running job: start it, watch it, end it, clean up after it. One thread each.

The thread that starts the namespace stays until the job is gone; `namespace` says why.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gridnode.runtime import Runtime
from gridnode.sandbox import (
    bwrap,
    cgroups,
    collect,
    inputs,
    jobdir,
    judgement,
    namespace,
    outdir,
    slots,
    streams,
    watch,
)
from gridnode.sandbox.spec import JobSpec, Outcome, Reason, SandboxUnavailable, Usage

logger = logging.getLogger(__name__)

TAIL_BYTES = 4096
TAIL_EVERY_SECONDS = 0.2
_TICK_CGROUP, _TICK_WATCH = 0.05, 0.025
_ADDRESS_SPACE_FLOOR = 8 << 30
_NPROC_SPARE = 64


@dataclass(frozen=True, slots=True)
class Site:
    """What all jobs of one sandbox share: program, runtime, cgroups, place of job folders."""

    bubblewrap: bwrap.Bubblewrap
    runtime: Runtime
    groups: cgroups.Groups | None
    jobs_folder: Path
    instance: str
    root: bool


class RunningJob:
    """A job in its own thread. `outcome` is set, and `done` with it, when nothing of it is left."""

    def __init__(
        self,
        *,
        site: Site,
        job_id: str,
        spec: JobSpec,
        in_dir: Path,
        out_dir: Path,
        on_tail: Callable[[bytes], None] | None,
        promised_pids: Callable[[], int],
    ) -> None:
        self.job_id = job_id
        self.spec = spec
        self.done = threading.Event()
        self.outcome: Outcome | None = None
        self._site = site
        self._in_dir = in_dir
        self._out_dir = out_dir
        self._on_tail = on_tail
        self._promised_pids = promised_pids
        self._output = streams.Output(spec.limits.stdout_bytes)
        self._namespace = namespace.Namespace(job_id, self._output)
        self._verdict: judgement.Verdict | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wake_lock = threading.Lock()
        self._folder = site.jobs_folder / job_id
        self._slot: slots.Slot | None = None
        self._group: cgroups.Group | None = None
        self._out: outdir.OutDir | None = None
        self._tmp_fds: list[int] = []
        self._released_at = 0.0
        self._peak_memory = 0
        self._cpu_ms = 0
        self._seen_full: Reason | None = None
        self._tail_at = 0.0
        self._tail_seen = 0

    @property
    def init_pid(self) -> int | None:
        """The first process inside, as the agent sees it; None before there is one."""
        return self._namespace.init_pid

    def start(self) -> None:
        """Begins; returns at once."""
        threading.Thread(target=self._run, name=f"sandbox-{self.job_id}", daemon=True).start()

    def cancel(self) -> None:
        """Asks for an end with reason `cancelled`; harmless at any time, from any thread."""
        with self._wake_lock:
            if self._wake_write >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_write, b"c")

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        outcome = Outcome(Reason.LOST, detail="the supervising thread failed; see the node's log")
        try:
            outcome = self._live()
        except SandboxUnavailable as error:
            outcome = Outcome(Reason.SANDBOX_UNAVAILABLE, detail=f"{error.name}: {error.text}")
        except Exception as error:
            logger.exception("sandbox job %s failed in its supervisor", self.job_id)
            outcome = Outcome(Reason.LOST, detail=f"supervisor: {type(error).__name__}: {error}")
        finally:
            problem = self._clean_up()
            if problem:
                outcome = Outcome(Reason.SANDBOX_UNAVAILABLE, detail=problem)
            self.outcome = outcome
            self.done.set()

    def _live(self) -> Outcome:
        self._prepare()
        self._launch()
        self._monitor()
        self._namespace.kill()
        self._namespace.read_rest()
        code, cpu_ms = self._namespace.reap()
        self._cpu_ms = max(self._cpu_ms, cpu_ms)
        return self._conclude(code)

    def _prepare(self) -> None:
        limits, site = self.spec.limits, self._site
        self._slot = slots.take_slot(root=site.root)
        jobdir.make(self._folder)
        if self._slot.uid is not None:
            inputs.share_with(self._in_dir, self._slot.uid)
        if site.groups is not None:
            try:
                self._group = site.groups.create(f"gridnode-{site.instance}-{self.job_id}", limits)
            except OSError as error:
                raise SandboxUnavailable("cgroup_failed", str(error)) from error
        self._note_state()
        if self._slot.uid is not None:
            self._out = outdir.Mounted(self._folder / "out", limits, self._slot.uid)
        else:
            self._out = outdir.Private(limits)

    def _launch(self) -> None:
        assert self._out is not None
        assert self._slot is not None
        site, out = self._site, self._out.options()
        self._namespace.start(
            site.bubblewrap,
            self.spec,
            options=lambda fds: bwrap.arguments(self.spec, runtime=site.runtime, in_dir=self._in_dir, out=out, fds=fds),
            confinement={
                "cgroup_files": self._group.procs_files() if self._group else [],
                "rlimits": self._rlimits(),
                "uid": self._slot.uid,
            },
        )
        self._open_folders()
        self._note_state()
        self._released_at = time.monotonic()
        self._namespace.release()

    def _note_state(self) -> None:
        jobdir.write_note(self._folder, init_pid=self.init_pid, cgroups=self._group.folders() if self._group else [])

    def _open_folders(self) -> None:
        assert self._out is not None
        assert self.init_pid is not None
        try:
            self._out.open(self.init_pid)
            if self._group is None:
                for folder in ("tmp", "dev/shm"):
                    self._tmp_fds.append(outdir.open_inside(self.init_pid, folder))
                if self._out.in_memory:
                    self._tmp_fds.append(os.dup(self._out.fd))
        except SandboxUnavailable:
            if namespace.is_dead(self._namespace.init_fd):
                raise self._namespace.setup_failure() from None
            raise

    def _rlimits(self) -> dict[str, int]:
        assert self._slot is not None
        limits = self.spec.limits
        # The kernel gives a dead process back to this count late (seen: for a second after a job
        # whose uid was changed), so there is room to spare; pids.max or the watchdog is exact.
        processes = cgroups.process_ceiling(limits) + _NPROC_SPARE
        if self._slot.uid is None:  # counts every task of the user, the agent's own included
            processes += watch.tasks_of_uid(os.getuid()) + self._promised_pids()
        found = {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_NPROC": processes,
            "RLIMIT_CPU": limits.cpu_seconds,
            "RLIMIT_MEMLOCK": 64 << 10,
            "RLIMIT_MSGQUEUE": 0,
        }
        if self._group is None:  # only a backstop: address space is not memory
            found["RLIMIT_AS"] = max(_ADDRESS_SPACE_FLOOR, 4 * limits.memory_bytes)
        return found

    # --- while it runs -----------------------------------------------------------------------

    def _monitor(self) -> None:
        """Returns when the job has ended by itself or has earned a verdict."""
        poller = select.poll()
        pipes, init_fd = self._namespace.pipes(), self._namespace.init_fd
        for fd in (*pipes, init_fd, self._wake_read):
            poller.register(fd, select.POLLIN)
        deadline = self._released_at + self.spec.limits.wall_seconds
        tick = _TICK_CGROUP if self._group is not None else _TICK_WATCH
        next_check = time.monotonic() + tick
        while self._verdict is None:
            now = time.monotonic()
            wait = max(0.0, min(next_check, deadline) - now)
            ready = {fd for fd, _ in poller.poll(int(wait * 1000) + 1)}
            for fd in ready & pipes.keys():
                if not self._read_stream(fd, pipes[fd]):
                    poller.unregister(fd)
            now = time.monotonic()
            if self._output.exceeded:
                self._verdict = judgement.stdout_limit(self.spec.limits)
            elif self._wake_read in ready:
                self._verdict = judgement.cancelled()
            elif init_fd in ready:
                return
            elif now >= deadline:
                self._verdict = judgement.too_slow(self.spec.limits)
            elif now >= next_check:
                began = time.thread_time()
                self._check_limits()
                next_check = now + max(tick, 10 * (time.thread_time() - began))  # a tenth of a core at most
            self._show_tail(now)

    def _check_limits(self) -> None:
        """Measures once. A full folder is remembered (the program meets the error itself); too many
        files end the job where nothing else stops them."""
        assert self._out is not None
        limits, oom_killed, memory_bytes, tasks = self.spec.limits, False, 0, 0
        if self._group is not None:
            self._cpu_ms = max(self._cpu_ms, self._group.cpu_ms())
            oom_killed = self._group.oom_kills() > 0
        else:
            assert self.init_pid is not None
            found = watch.sample(self.init_pid, self._tmp_fds, memory_limit=limits.memory_bytes)
            self._cpu_ms = max(self._cpu_ms, found.cpu_ms)
            self._peak_memory = max(self._peak_memory, found.memory_bytes)
            memory_bytes, tasks = found.memory_bytes, found.tasks
        full = outdir.violation(self._out, limits)
        self._seen_full = full or self._seen_full
        self._verdict = judgement.while_running(
            limits,
            oom_killed=oom_killed,
            memory_bytes=memory_bytes,
            tasks=tasks,
            cpu_ms=self._cpu_ms,
            has_too_many_files=full is Reason.FILE_COUNT and not self._out.hard_files,
        )

    def _read_stream(self, fd: int, stream: bytearray) -> bool:
        """Reads once; False at the end of the stream."""
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return True
        self._output.add(stream, data)
        return bool(data)

    def _show_tail(self, now: float) -> None:
        seen = len(self._output.stdout)
        if self._on_tail is None or seen == self._tail_seen or now - self._tail_at < TAIL_EVERY_SECONDS:
            return
        self._tail_at, self._tail_seen = now, seen
        try:
            self._on_tail(bytes(self._output.stdout[-TAIL_BYTES:]))
        except Exception:
            logger.exception("the progress callback of job %s failed; it is not called again", self.job_id)
            self._on_tail = None

    # --- the end -----------------------------------------------------------------------------

    def _conclude(self, code: int) -> Outcome:
        assert self._out is not None
        wall_ms = int((time.monotonic() - self._released_at) * 1000)
        if not self._namespace.has_begun:  # the start signal was never taken: the setup failed
            if self._verdict is not None:
                return Outcome(self._verdict[0], detail=self._verdict[1])
            raise self._namespace.explanation()
        reason, detail = self._judge(code)
        if self._group is not None:
            self._cpu_ms = max(self._cpu_ms, self._group.cpu_ms())
            self._peak_memory = self._group.peak_memory_bytes()
        found = collect.Collected((), ())
        used = outdir.bytes_used(self._out.fd)
        if reason is Reason.OK:
            found = collect.collect(self._out.fd, self._out_dir, self.spec.limits)
            reason, detail = judgement.after_collecting(self.spec.limits, found.rejected)
        return Outcome(
            reason=reason,
            exit_code=code,
            detail=detail,
            stdout=bytes(self._output.stdout),
            stderr=bytes(self._output.stderr),
            files=found.files if reason is Reason.OK else (),
            rejected=found.rejected,
            usage=Usage(wall_ms, self._cpu_ms, self._peak_memory, self._output.seen, used),
        )

    def _judge(self, code: int) -> judgement.Verdict:
        assert self._out is not None
        facts = judgement.Facts(
            exit_code=code,
            oom_killed=self._group is not None and self._group.oom_kills() > 0,
            verdict=self._verdict,
            is_stdout_exceeded=self._output.exceeded,
            cpu_ms=self._cpu_ms,
            full=outdir.violation(self._out, self.spec.limits),
            was_full=self._seen_full,
        )
        return judgement.at_the_end(self.spec.limits, facts)

    def _clean_up(self) -> str:
        """Leaves nothing: processes, mount, cgroups, folder. Returns what could not be removed."""
        problems = []

        def attempt(step: Callable[[], None]) -> None:
            try:
                step()
            except (OSError, SandboxUnavailable, subprocess.SubprocessError) as error:
                logger.error("cleaning up sandbox job %s: %s", self.job_id, error)
                problems.append(f"cleanup_failed: {error}")

        attempt(self._namespace.kill)
        attempt(self._namespace.end_outer)
        attempt(self._namespace.close)
        with self._wake_lock:
            for fd in (self._wake_read, self._wake_write, *self._tmp_fds):
                if fd >= 0:
                    os.close(fd)
            self._wake_write = -1
        if self._out is not None:
            attempt(self._out.close)
        if self._group is not None:
            folders = self._group.folders()
            attempt(lambda: cgroups.remove(folders))
        attempt(lambda: jobdir.remove(self._folder))
        if self._slot is not None:
            attempt(self._slot.release)
        return "; ".join(problems)
