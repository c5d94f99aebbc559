"""A bwrap and the namespace under it: started, held, killed, reaped. Belongs to one thread.

`--die-with-parent` is tied to the *thread* that starts bwrap, so that thread stays until the job
is gone. A namespace is always ended through the pidfd of its first process, which the kernel
answers by killing every process inside; killing the outer bwrap would leave them running for a
while.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gridnode.sandbox import bwrap, seccomp, streams, watch
from gridnode.sandbox.spec import JobSpec, SandboxUnavailable

SETUP_SECONDS = 20.0
DEATH_SECONDS = 10.0
_LAUNCH = Path(__file__).with_name("launch.py")


def kill(pidfd: int) -> bool:
    """Kills the first process of a namespace; when its pidfd is readable every other one is gone
    as well. False if it did not die in `DEATH_SECONDS`."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    return is_dead(pidfd, patience_seconds=DEATH_SECONDS)


def is_dead(pidfd: int, *, patience_seconds: float = 0.0) -> bool:
    """Whether the process is over, or is so within `patience_seconds`."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(int(patience_seconds * 1000)))


class Namespace:
    """One job's processes. What they print arrives in `output`; `init_pid` is the first process as
    the agent sees it, `init_fd` a pidfd of it, None and -1 before there is one."""

    def __init__(self, job_id: str, output: streams.Output) -> None:
        self.init_pid: int | None = None
        self.init_fd = -1
        self._job_id = job_id
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._block_write = -1

    # --- the start ---------------------------------------------------------------------------

    def start(
        self,
        program: bwrap.Bubblewrap,
        spec: JobSpec,
        *,
        options: Callable[[bwrap.Descriptors], list[str]],
        confinement: dict[str, Any],
    ) -> None:
        """Starts bwrap and takes hold of its first process, which then waits for `release`.

        `options` gives bwrap's arguments for the descriptors it inherits; `confinement` holds the
        `cgroup_files`, `rlimits` and `uid` of launch.py. Raises: SandboxUnavailable.
        """
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
            args_fd = closing(streams.in_memory("args", "\0".join(options(fds)).encode()))
            request = confinement | {"argv": [str(program.path), "--args", str(args_fd), "--", *spec.command]}
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
            for fd in self.pipes():
                os.set_blocking(fd, False)
            self._adopt_init(info_read)

    def _adopt_init(self, info_read: int) -> None:
        """Reads the namespace's first pid from --info-fd and takes hold of it by pidfd."""
        assert self._process is not None
        deadline, text = time.monotonic() + SETUP_SECONDS, b""
        outer_fd = os.pidfd_open(self._process.pid)
        try:
            poller = select.poll()
            for fd in (info_read, outer_fd):
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
                    raise self.setup_failure()
                if time.monotonic() > deadline:
                    raise SandboxUnavailable("setup_timeout", f"no namespace in {SETUP_SECONDS} s")
        finally:
            os.close(outer_fd)
        try:
            self.init_fd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise self.setup_failure() from error
        if watch.parent_of(pid) != self._process.pid:
            os.close(self.init_fd)
            self.init_fd = -1
            raise self.setup_failure()
        self.init_pid = pid

    def release(self) -> None:
        """Gives the start signal. Raises: SandboxUnavailable if nobody is left to take it."""
        try:
            os.write(self._block_write, b"x")
        except BrokenPipeError:
            raise self.setup_failure() from None

    @property
    def has_begun(self) -> bool:
        """Whether the start signal was taken; the program never ran otherwise."""
        return not streams.unread(self._block_write)

    def setup_failure(self) -> SandboxUnavailable:
        """bwrap ended before the job began: what it said tells why."""
        self.end_outer()
        self.read_rest()
        return self.explanation()

    def explanation(self) -> SandboxUnavailable:
        """Why bwrap failed, from what it has said so far."""
        return bwrap.explain_failure(self._output.stderr.decode(errors="replace"))

    # --- what it prints ------------------------------------------------------------------------

    def pipes(self) -> dict[int, bytearray]:
        """The descriptors to read from, each with where its bytes belong in `output`."""
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return {
            self._process.stdout.fileno(): self._output.stdout,
            self._process.stderr.fileno(): self._output.stderr,
        }

    def read_rest(self) -> None:
        """Takes in what is still in the pipes of processes that are gone."""
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

    # --- the end -------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kills every process inside, if there is one. Raises: SandboxUnavailable (kill_failed)."""
        if self.init_fd >= 0 and not kill(self.init_fd):
            raise SandboxUnavailable("kill_failed", f"namespace of job {self._job_id} did not die")

    def end_outer(self) -> None:
        """For a bwrap whose namespace never got under control: die-with-parent takes it along."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(DEATH_SECONDS)

    def reap(self) -> tuple[int, int]:
        """Exit code of the job as bwrap passes it on (128 + signal), and the CPU time in ms of all
        that bwrap reaped."""
        assert self._process is not None
        outer_fd = os.pidfd_open(self._process.pid)
        try:
            if not is_dead(outer_fd, patience_seconds=DEATH_SECONDS):
                self._process.kill()
        finally:
            os.close(outer_fd)
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        return code if code >= 0 else 128 - code, int((usage.ru_utime + usage.ru_stime) * 1000)

    def close(self) -> None:
        """Closes every descriptor; for the very end, when nothing runs any more."""
        with contextlib.ExitStack() as closing:
            for fd in (self.init_fd, self._block_write):
                if fd >= 0:
                    closing.callback(os.close, fd)
            for pipe in (self._process.stdout, self._process.stderr) if self._process is not None else ():
                if pipe is not None:
                    closing.callback(pipe.close)
        self.init_fd = self._block_write = -1
