"""The platform as a newcomer starts it: `manage.py up` in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.servers import instance
from config.supervision import spawn
from demo.logs import last_words

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120


class NotStarted(RuntimeError):
    """The platform did not come up; the message has the last lines of its log."""


@dataclass(frozen=True)
class Platform:
    """A running platform: its address, its state directory and its log."""

    url: str
    run_dir: Path
    log: Path


def forget(run_dir: Path) -> None:
    """Delete the state of an earlier story, embedded servers' data included: each story begins with nothing.

    Raises: ConfigurationError while that story is still being told.
    """
    if not run_dir.exists():
        return
    claimed = instance.claim(run_dir)
    try:
        shutil.rmtree(claimed.state)
        shutil.rmtree(run_dir, ignore_errors=True)
    finally:
        os.close(claimed.lock)


@contextmanager
def running(run_dir: Path, port: int) -> Iterator[Platform]:
    """Start the platform on `port` (0 = a free one) with its state in `run_dir`; stop it in the end.

    Raises: NotStarted.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    log, status = run_dir / "platform.log", run_dir / "demo-supervisor.json"
    status.unlink(missing_ok=True)
    command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(port), "--json-status", str(status)]
    environment = os.environ | {"COMMONGRID_RUN_DIR": str(run_dir)}
    with log.open("ab") as output:
        process = spawn.spawn(
            command, death_signal=signal.SIGTERM, environment=environment, directory=ROOT, output=output
        )
    try:
        yield Platform(_address(process, status, log), run_dir, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _address(process: "subprocess.Popen[bytes]", status: Path, log: Path) -> str:
    """The address once it answers as ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted(f"the platform ended with code {process.returncode}; {last_words(log)}")
        url = _read_url(status)
        if url and _is_ready(url):
            return url
        time.sleep(0.1)
    raise NotStarted(f"the platform was not ready after {START_SECONDS} s; {last_words(log)}")


def _read_url(status: Path) -> str | None:
    try:
        facts = json.loads(status.read_text())
    except (FileNotFoundError, ValueError):
        return None
    url = facts.get("url")
    return str(url) if url else None


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
