"""The platform that is measured: `manage.py up` as shipped, with PostgreSQL and Redis of its own, durable."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django
import psutil

from config.supervision.running import RunningPlatform, start_platform

PARTS = ("postgres", "redis", "web", "worker", "beat", "matcher")


@dataclass(frozen=True)
class Grid:
    """A running platform."""

    platform: RunningPlatform

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.platform.url

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each part and its children have used so far."""
        return {part: _used(self.platform.pid(part)) for part in PARTS}


def environment(run_dir: Path) -> dict[str, str]:
    """The environment of this process and of the platform: servers of its own, whatever was given."""
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COMMONGRID_RUN_DIR": str(run_dir),
        "COMMONGRID_LOG_LEVEL": "WARNING",
        "DATABASE_URL": "",
        "REDIS_URL": "",
    }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Grid]:
    """Start everything, let this process use the same database, end everything."""
    platform = start_platform(folder / "run", log=folder / "platform.log")
    try:
        platform.wait_ready()
        django.setup()
        yield Grid(platform)
    finally:
        platform.forget()


def _used(pid: int | None) -> float:
    """User and system time of a process and all its living descendants."""
    if pid is None:
        return 0.0
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system
    return total


def cores() -> int:
    """Cores that the platform and its clients share."""
    return len(os.sched_getaffinity(0))
