"""A whole platform as one object, for the demo, the fault harness and tests.

It runs `manage.py up` as a child with its own run directory and port, and knows the pids in it.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Any

from config.embedded import CHECKOUT
from config.servers import paths
from config.supervision import spawn, status
from config.supervision.platform import status_path

POLL_SECONDS = 0.05
STOP_SECONDS = 120.0


class PlatformError(Exception):
    """The platform ended or did not get to where it should be in time; the text shows its log."""


@dataclass
class RunningPlatform:
    """A started platform. As a context manager it stops at the end of the block."""

    process: Popen[bytes]
    run_dir: Path
    log: Path

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self.status()["url"])

    def status(self) -> dict[str, Any]:
        """Return what the supervisor wrote last. Raises: PlatformError when it is not running."""
        if self.process.poll() is not None:
            raise PlatformError(f"it ended with {self.process.returncode}:\n{self.last_lines()}")
        found = status.read(status_path(self.run_dir))
        if found is None or found["supervisor_pid"] != self.process.pid:
            return {"phase": "starting", "components": {}, "url": ""}
        return found

    def pid(self, component: str) -> int | None:
        """Return the pid of a component that runs now."""
        pid = self.status()["components"].get(component, {}).get("pid")
        return None if pid is None else int(pid)

    def starts(self, component: str) -> int:
        """Return how often a component has been started."""
        return int(self.status()["components"].get(component, {}).get("starts", 0))

    def is_ready(self, component: str) -> bool:
        """Say whether a component is ready, or has done what it does once."""
        state = self.status()["components"].get(component, {}).get("state")
        return state in ("READY", "DONE")

    def wait_ready(self, *components: str, deadline_seconds: float = 180.0) -> None:
        """Wait until these components are ready, without names until everything was ready once.

        Raises: PlatformError with the end of the log.
        """
        end = time.monotonic() + deadline_seconds
        while not (
            all(self.is_ready(name) for name in components) if components else self.status()["phase"] == "ready"
        ):
            if time.monotonic() > end:
                raise PlatformError(
                    f"not ready within {deadline_seconds:g} s: {self.status()['components']}\n{self.last_lines()}"
                )
            time.sleep(POLL_SECONDS)

    def kill(self, component: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a component and return the pid it had. Raises: PlatformError."""
        pid = self.pid(component)
        if pid is None:
            raise PlatformError(f"{component} does not run; {self.status()['components']}")
        os.kill(pid, number)
        return pid

    def wait_restarted(self, component: str, old_pid: int, deadline_seconds: float = 120.0) -> None:
        """Wait until another process of the component is ready. Raises: PlatformError."""
        end = time.monotonic() + deadline_seconds
        while self.pid(component) in (None, old_pid) or not self.is_ready(component):
            if time.monotonic() > end:
                raise PlatformError(f"{component} was not back within {deadline_seconds:g} s\n{self.last_lines()}")
            time.sleep(POLL_SECONDS)

    def last_lines(self, count: int = 60) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def stop(self) -> int:
        """Stop cleanly; return the exit code. Raises: subprocess.TimeoutExpired."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)

    def forget(self) -> None:
        """Stop and delete the run directory and, as root, the state that belongs to it."""
        self.stop()
        if os.geteuid() == 0:
            state = paths.state_dir(self.run_dir, as_root=True)
            shutil.rmtree(state, ignore_errors=True)
            state.with_name(f"{state.name}.lock").unlink(missing_ok=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def __enter__(self) -> "RunningPlatform":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_platform(
    run_dir: Path,
    *,
    port: int = 0,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> RunningPlatform:
    """Start `manage.py up` for `run_dir` and return at once; `wait_ready` waits.

    It ends cleanly with this process at the latest. Its lines go to `log` (default: platform.log
    in the run directory). `environment` is added to this process's own.
    """
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = log or run_dir / "platform.log"
    with log.open("ab") as stream:
        process = spawn.spawn(
            [sys.executable, "manage.py", "up", f"--port={port}"],
            death_signal=signal.SIGTERM,
            environment={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                **(environment or {}),
                "COMMONGRID_RUN_DIR": str(run_dir),
            },
            directory=CHECKOUT,
            output=stream,
        )
    return RunningPlatform(process, run_dir, log)
