"""One running process: its end is noticed by the kernel's word, its lines go to the console."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable

from config.supervision import spawn
from config.supervision.component import Component

LONGEST_LINE_BYTES = 64 * 1024


class Child:
    """A started component. Create it within a running event loop, in the main thread."""

    def __init__(self, component: Component, lock: int | None, on_line: Callable[[str], None]) -> None:
        """Start the process. Raises: OSError, ConfigurationError from finding the program."""
        if component.command is None:
            raise ValueError(f"{component.name} has no command.")
        self.started_at_seconds = time.time()
        self._on_line = on_line
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._process: subprocess.Popen[bytes] = spawn.spawn(
            component.command(),
            death_signal=component.death_signal,
            identity=component.identity,
            environment=component.environment,
            directory=component.directory,
            pass_fds=(*component.pass_fds, *(() if lock is None else (lock,))),
        )
        self.pid = self._process.pid
        if self._process.stdout is None:
            raise RuntimeError("The child was started without a pipe for its lines.")
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self._loop.add_reader(self._pidfd, self._reap)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself; one that has just ended is fine."""
        if not self.exited.done():
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill -9 the process and everything in its group."""
        if not self.exited.done():
            spawn.kill_group(self.pid)

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe.fileno(), LONGEST_LINE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._pipe.fileno())
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._on_line(line.decode(errors="replace").rstrip())
        return True

    def _reap(self) -> None:
        spawn.kill_group(self.pid)  # before the pid is given back: it still names this group
        self._loop.remove_reader(self._pidfd)
        code = self._process.wait()
        while self._read():
            pass
        if self._rest:
            self._on_line(self._rest.decode(errors="replace").rstrip())
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        os.close(self._pidfd)
        self.exited.set_result(code)


def describe_exit(code: int) -> str:
    """Return an exit code in words: `ended with code 1`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
