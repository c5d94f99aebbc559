"""One self-tested sandbox for the attack suite, and the check that no attack leaves a trace.

Works as root and as an ordinary user; a machine without bubblewrap fails here, it does not skip.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridnode import runtime, selftest
from gridnode.sandbox.spec import Outcome
from tests.sandbox.arena import TESTED_AT, Arena


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder that unprivileged uids can reach (pytest's own temporary folders cannot be)."""
    folder = Path(tempfile.mkdtemp(prefix="gridnode-attacks-"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def job_runtime(ground: Path) -> runtime.Runtime:
    return runtime.ensure_runtime(ground / "runtime")


@pytest.fixture(scope="session")
def arena(ground: Path, job_runtime: runtime.Runtime) -> Iterator[Arena]:
    sandbox, record = selftest.open_sandbox(runtime=job_runtime, work_root=ground / "work", now=TESTED_AT)
    yield Arena(ground, sandbox, record)
    sandbox.close()


@pytest.fixture
def attack(arena: Arena) -> Iterator[Callable[..., Outcome]]:
    """Runs one attack; afterwards nothing of any job may be left on the machine."""
    yield arena.attack
    assert arena.traces() == []
