"""One running job: start it, watch it, end it, clean up after it. One thread each.

The thread that starts bubblewrap stays until the job is gone: `--die-with-parent` is tied to the
starting *thread*, so a short-lived one would take its job with it. A job is always ended through
the pidfd of its namespace's first process, which the kernel answers by killing every process
inside; killing the outer bwrap would leave them running for a while.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gridnode.runtime import Runtime
from gridnode.sandbox import bwrap, cgroups, collect, inputs, outdir, seccomp, slots, streams, watch
from gridnode.sandbox.spec import JobSpec, Outcome, Reason, SandboxUnavailable, Usage

logger = logging.getLogger(__name__)

SETUP_SECONDS = 20.0
DEATH_SECONDS = 10.0
TAIL_BYTES = 4096
TAIL_EVERY_SECONDS = 0.2
_TICK_CGROUP, _TICK_WATCH = 0.05, 0.025
_LAUNCH = Path(__file__).with_name("launch.py")
_SIGXCPU_EXIT, _SIGXFSZ_EXIT, _SIGKILL_EXIT = 128 + 24, 128 + 25, 128 + 9
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
        self.init_pid: int | None = None
        self._site = site
        self._in_dir = in_dir
        self._out_dir = out_dir
        self._on_tail = on_tail
        self._promised_pids = promised_pids
        self._output = streams.Output(spec.limits.stdout_bytes)
        self._verdict: tuple[Reason, str] | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wake_lock = threading.Lock()
        self._folder = site.jobs_folder / job_id
        self._slot: slots.Slot | None = None
        self._group: cgroups.Group | None = None
        self._out: outdir.OutDir | None = None
        self._tmp_fds: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._init_fd = -1
        self._block_write = -1
        self._released_at = 0.0
        self._peak_memory = 0
        self._cpu_ms = 0
        self._seen_full: Reason | None = None
        self._tail_at = 0.0
        self._tail_seen = 0

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
        self._end_namespace()
        self._read_rest()
        return self._conclude(self._reap_outer())

    def _prepare(self) -> None:
        limits, site = self.spec.limits, self._site
        self._slot = slots.take_slot(root=site.root)
        self._folder.mkdir(mode=0o711)
        os.chmod(self._folder, 0o711)  # noqa: S103 - passable, not readable
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
        site, spec = self._site, self.spec
        with contextlib.ExitStack() as open_fds:

            def closing(fd: int) -> int:
                open_fds.callback(os.close, fd)
                return fd

            info_read, info_write = (closing(fd) for fd in os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
            block_read, self._block_write = os.pipe2(os.O_CLOEXEC)
            closing(block_read)
            fds = bwrap.Descriptors(
                seccomp=closing(streams.in_memory("seccomp", seccomp.program())),
                info=info_write,
                block=block_read,
                files={path: closing(streams.in_memory("file", content)) for path, content in spec.files.items()},
            )
            options = bwrap.arguments(spec, runtime=site.runtime, in_dir=self._in_dir, out=self._out.options(), fds=fds)
            args_fd = closing(streams.in_memory("args", "\0".join(options).encode()))
            request = {
                "cgroup_files": self._group.procs_files() if self._group else [],
                "rlimits": self._rlimits(),
                "uid": self._slot.uid,
                "argv": [str(site.bubblewrap.path), "--args", str(args_fd), "--", *spec.command],
            }
            os.set_blocking(info_write, True)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(_LAUNCH), json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                close_fds=True,
                start_new_session=True,
                pass_fds=(args_fd, fds.seccomp, fds.info, fds.block, *fds.files.values()),
            )
            for stream in (self._process.stdout, self._process.stderr):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
            self._adopt_init(info_read)
        self._open_folders()
        self._note_state()
        self._released_at = time.monotonic()
        try:
            os.write(self._block_write, b"x")
        except BrokenPipeError:
            raise self._setup_failure() from None

    def _adopt_init(self, info_read: int) -> None:
        """Reads the namespace's first pid from --info-fd and takes hold of it by pidfd."""
        assert self._process is not None
        deadline, text = time.monotonic() + SETUP_SECONDS, b""
        outer_fd = os.pidfd_open(self._process.pid)
        try:
            poller = select.poll()
            for fd in (info_read, outer_fd, self._wake_read):
                poller.register(fd, select.POLLIN)
            while True:
                ready = {fd for fd, _ in poller.poll(max(0, int((deadline - time.monotonic()) * 1000)))}
                if info_read in ready:
                    data = os.read(info_read, 4096)
                    text += data
                    if not data:
                        poller.unregister(info_read)
                    with contextlib.suppress(ValueError):
                        pid = int(json.loads(text)["child-pid"])
                        break
                elif outer_fd in ready:
                    raise self._setup_failure()
                if self._wake_read in ready:
                    poller.unregister(self._wake_read)  # acted on as soon as the job can be ended
                if time.monotonic() > deadline:
                    raise SandboxUnavailable("setup_timeout", f"no namespace in {SETUP_SECONDS} s")
        finally:
            os.close(outer_fd)
        try:
            self._init_fd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise self._setup_failure() from error
        if watch.parent_of(pid) != self._process.pid:
            os.close(self._init_fd)
            self._init_fd = -1
            raise self._setup_failure()
        self.init_pid = pid

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
            if self._is_dead(self._init_fd):
                raise self._setup_failure() from None
            raise

    def _setup_failure(self) -> SandboxUnavailable:
        """bwrap ended before the job began: what it said tells why."""
        self._end_outer()
        self._read_rest()
        return bwrap.explain_failure(self._output.stderr.decode(errors="replace"))

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
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        poller = select.poll()
        streams = {
            process.stdout.fileno(): self._output.stdout,
            process.stderr.fileno(): self._output.stderr,
        }
        for fd in (*streams, self._init_fd, self._wake_read):
            poller.register(fd, select.POLLIN)
        deadline = self._released_at + self.spec.limits.wall_seconds
        tick = _TICK_CGROUP if self._group is not None else _TICK_WATCH
        next_check = time.monotonic() + tick
        while self._verdict is None:
            now = time.monotonic()
            wait = max(0.0, min(next_check, deadline) - now)
            ready = {fd for fd, _ in poller.poll(int(wait * 1000) + 1)}
            for fd in ready & streams.keys():
                if not self._read_stream(fd, streams[fd]):
                    poller.unregister(fd)
            now = time.monotonic()
            if self._output.exceeded:
                self._verdict = (Reason.STDOUT_LIMIT, f"more than {self._output.limit} bytes")
            elif self._wake_read in ready:
                self._verdict = (Reason.CANCELLED, "cancelled by the agent")
            elif self._init_fd in ready:
                return
            elif now >= deadline:
                self._verdict = (Reason.WALL, f"longer than {self.spec.limits.wall_seconds} s")
            elif now >= next_check:
                began = time.thread_time()
                self._check_limits()
                next_check = now + max(tick, 10 * (time.thread_time() - began))  # a tenth of a core at most
            self._show_tail(now)

    def _check_limits(self) -> None:
        limits = self.spec.limits
        if self._group is not None:
            self._cpu_ms = max(self._cpu_ms, self._group.cpu_ms())
            if self._group.oom_kills():
                self._verdict = (Reason.OOM, f"more than {limits.memory_mib} MiB")
        else:
            assert self.init_pid is not None
            found = watch.sample(self.init_pid, self._tmp_fds, memory_limit=limits.memory_bytes)
            self._cpu_ms = max(self._cpu_ms, found.cpu_ms)
            self._peak_memory = max(self._peak_memory, found.memory_bytes)
            if found.memory_bytes > limits.memory_bytes:
                self._verdict = (Reason.OOM, f"more than {limits.memory_mib} MiB")
            elif found.tasks > limits.pids:
                self._verdict = (Reason.NONZERO_EXIT, f"more than {limits.pids} processes")
        if self._verdict is None and self._cpu_ms > limits.cpu_seconds * 1000:
            self._verdict = (Reason.CPU, f"more than {limits.cpu_seconds} s of CPU time")
        self._check_output_folder()

    def _check_output_folder(self) -> None:
        """A full folder is remembered (the program meets the error itself); too many files end
        the job where nothing else stops them."""
        assert self._out is not None
        limits = self.spec.limits
        full = outdir.violation(self._out, limits)
        self._seen_full = full or self._seen_full
        if self._verdict is None and full is Reason.FILE_COUNT and not self._out.hard_files:
            self._verdict = (Reason.FILE_COUNT, f"more than {limits.output_files} files")

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

    def _end_namespace(self) -> None:
        """Kills the first process; when its pidfd is readable every other one is gone as well."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
        if not self._is_dead(self._init_fd, patience_seconds=DEATH_SECONDS):
            raise SandboxUnavailable("kill_failed", f"namespace of job {self.job_id} did not die")

    def _end_outer(self) -> None:
        """For a bwrap whose namespace never got under control: die-with-parent takes it along."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(DEATH_SECONDS)

    def _reap_outer(self) -> int:
        """Exit code of the job as bwrap passes it on (128 + signal), CPU time of all it reaped."""
        assert self._process is not None
        outer_fd = os.pidfd_open(self._process.pid)
        try:
            if not self._is_dead(outer_fd, patience_seconds=DEATH_SECONDS):
                self._process.kill()
        finally:
            os.close(outer_fd)
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        self._cpu_ms = max(self._cpu_ms, int((usage.ru_utime + usage.ru_stime) * 1000))
        return code if code >= 0 else 128 - code

    def _read_rest(self) -> None:
        if self._process is None:
            return
        for pipe, stream in (
            (self._process.stdout, self._output.stdout),
            (self._process.stderr, self._output.stderr),
        ):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(BlockingIOError):
                    while data := os.read(pipe.fileno(), 65536):
                        self._output.add(stream, data)

    def _conclude(self, code: int) -> Outcome:
        assert self._out is not None
        wall_ms = int((time.monotonic() - self._released_at) * 1000)
        if streams.unread(self._block_write):  # the start signal was never taken: the setup failed
            if self._verdict is not None:
                return Outcome(self._verdict[0], detail=self._verdict[1])
            raise bwrap.explain_failure(self._output.stderr.decode(errors="replace"))
        reason, detail = self._judge(code)
        if self._group is not None:
            self._cpu_ms = max(self._cpu_ms, self._group.cpu_ms())
            self._peak_memory = self._group.peak_memory_bytes()
        found = collect.Collected((), ())
        used = outdir.bytes_used(self._out.fd)
        if reason is Reason.OK:
            found = collect.collect(self._out.fd, self._out_dir, self.spec.limits)
            codes = {rejection.code for rejection in found.rejected}
            if "too_many_files" in codes:
                reason, detail = Reason.FILE_COUNT, f"more than {self.spec.limits.output_files} files"
            elif codes & {"too_many_bytes", "file_too_large"}:
                reason, detail = Reason.DISK_QUOTA, f"more than {self.spec.limits.output_bytes} bytes"
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

    def _judge(self, code: int) -> tuple[Reason, str]:
        limits = self.spec.limits
        if self._group is not None and self._group.oom_kills():
            return Reason.OOM, f"more than {limits.memory_mib} MiB"  # even if the parent exits 0
        if self._verdict is not None:
            return self._verdict
        if self._output.exceeded:
            return Reason.STDOUT_LIMIT, f"more than {limits.stdout_bytes} bytes"
        if code == _SIGXCPU_EXIT or self._cpu_ms > limits.cpu_seconds * 1000:
            return Reason.CPU, f"more than {limits.cpu_seconds} s of CPU time"
        assert self._out is not None
        full = outdir.violation(self._out, limits)
        if full is Reason.FILE_COUNT or (code != 0 and (full := full or self._seen_full)):
            return full, "the output folder is full"
        if code == _SIGXFSZ_EXIT:
            return Reason.DISK_QUOTA, f"a file larger than {limits.file_bytes} bytes"
        if code != 0:
            return Reason.NONZERO_EXIT, f"exit code {code}"
        return Reason.OK, ""

    def _clean_up(self) -> str:
        """Leaves nothing: processes, mount, cgroups, folder. Returns what could not be removed."""
        problems = []

        def attempt(step: Callable[[], None]) -> None:
            try:
                step()
            except (OSError, SandboxUnavailable, subprocess.SubprocessError) as error:
                logger.error("cleaning up sandbox job %s: %s", self.job_id, error)
                problems.append(f"cleanup_failed: {error}")

        if self._init_fd >= 0:
            attempt(self._end_namespace)
            attempt(lambda: os.close(self._init_fd))
        attempt(self._end_outer)
        if self._process is not None:
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    attempt(stream.close)
        with self._wake_lock:
            for fd in (self._wake_read, self._wake_write, self._block_write, *self._tmp_fds):
                if fd >= 0:
                    os.close(fd)
            self._wake_write = -1
        if self._out is not None:
            attempt(self._out.close)
        if self._group is not None:
            folders = self._group.folders()
            attempt(lambda: cgroups.remove(folders))
        attempt(lambda: remove_job_folder(self._folder))
        if self._slot is not None:
            attempt(self._slot.release)
        return "; ".join(problems)

    def _note_state(self) -> None:
        """What a later agent needs to clean up after this one's crash (see orphans.py)."""
        state = {
            "agent_pid": os.getpid(),
            "agent_started": watch.started_at(os.getpid()),
            "init_pid": self.init_pid,
            "init_started": watch.started_at(self.init_pid) if self.init_pid else None,
            "cgroups": self._group.folders() if self._group else [],
        }
        temporary = self._folder / "state.new"
        temporary.write_text(json.dumps(state))
        temporary.rename(self._folder / "state.json")

    @staticmethod
    def _is_dead(pidfd: int, *, patience_seconds: float = 0.0) -> bool:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(int(patience_seconds * 1000)))


def remove_job_folder(folder: Path) -> None:
    """Removes a job's (flat) folder; nothing in it was ever writable by a job without a mount."""
    for name in ("state.json", "state.new", "out.ext4"):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "out", folder):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()
