"""What the figures were taken on: processor, kernel, PostgreSQL, the price of making one page durable."""

import os
import platform
import statistics
import time
from datetime import UTC
from pathlib import Path
from typing import Any

from django.db import connection

from common.clock import database_now

SYNCS = 200
PAGE_BYTES = 8192


def describe(folder: Path) -> dict[str, Any]:
    """The machine as it is now; `folder` lies on the disk that the database uses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        version, fsync = cursor.fetchone()
    middle, worst = _sync_cost_us(folder)
    return {
        "taken_at": database_now().astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": f"{version}, fsync {fsync}",
        "fdatasync_of_8_KiB_us": f"p50 {middle:.0f}, p99 {worst:.0f}",
        "load_at_the_start": load(),
    }


def load() -> str:
    """Load averages: how many others wanted the cores."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _sync_cost_us(folder: Path) -> tuple[float, float]:
    """Median and 99th percentile of writing one page and waiting for the disk."""
    costs = []
    path = folder / "sync-cost"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(descriptor, bytes(PAGE_BYTES), 0)
            os.fdatasync(descriptor)
            costs.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(costs), sorted(costs)[int(SYNCS * 0.99)]
