"""Starts attack programs in the tested sandbox and looks for what they leave behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridnode import selftest
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import JobSpec, Limits, Outcome

TESTED_AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PYTHON = ("/rt/bin/python3", "-P", "-s", "-S", "-B")


class Arena:
    """Starts attack programs in fresh folders and keeps what is needed to look for traces."""

    def __init__(self, folder: Path, sandbox: Sandbox, record: selftest.CapabilityRecord) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.record = record
        self.root = os.geteuid() == 0
        self._count = 0

    def folders(self) -> tuple[Path, Path]:
        self._count += 1
        in_dir = self.folder / f"in{self._count}"
        in_dir.mkdir()
        return in_dir, self.folder / f"out{self._count}"

    def spec(self, code: str, **limits: int) -> JobSpec:
        bounds: dict[str, Any] = {"wall_seconds": 20, "memory_mib": 256, "pids": 32, **limits}
        return JobSpec(
            command=(*PYTHON, "/drv/attack.py"), limits=Limits(**bounds), files={"/drv/attack.py": code.encode()}
        )

    def attack(self, code: str, **limits: int) -> Outcome:
        in_dir, out_dir = self.folders()
        return self.sandbox.run(self.spec(code, **limits), in_dir, out_dir)

    def traces(self) -> list[str]:
        """Job folders, cgroups and mounts that are still there."""
        work_root = self.sandbox.work_root
        found = [str(path) for path in (work_root / "jobs").iterdir()]
        site = self.sandbox._site
        if site.groups is not None:
            found += site.groups.leftovers(f"gridnode-{site.instance}-")
        mounts = Path("/proc/self/mountinfo").read_text()
        return found + [line for line in mounts.splitlines() if str(work_root) in line]


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds; fails after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in 10 s"
        time.sleep(0.01)
