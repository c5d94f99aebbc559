"""Run directories that leave nothing behind, and waiting for conditions."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.servers import paths


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "run"
    yield directory
    as_root = os.geteuid() == 0
    shutil.rmtree(paths.socket_dir(directory, as_root=as_root), ignore_errors=True)
    if as_root:
        state = paths.state_dir(directory, as_root=True)
        for path in state.parent.glob(f"{state.name}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object], float], None]:
    def wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition did not come true in time"
            time.sleep(0.02)

    return wait
