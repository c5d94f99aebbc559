"""A sandbox that passed its self-test, once for all; a coordinator, a joined folder and an agent for each test."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gridnode import capabilities
from gridnode.agent import Agent
from gridnode.home import Home, Identity
from gridnode.standing import Settings
from opengrid import messages
from packages.gridnode.tests import coordinator
from packages.gridnode.tests.living import Enliven, Life


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder that unprivileged uids can reach (pytest's own temporary folders cannot be)."""
    folder = Path(tempfile.mkdtemp(prefix="gridnode-tests-"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def runtime_root(ground: Path) -> Path:
    """Where the runtime of these tests is built."""
    return ground / "runtime"


@pytest.fixture(scope="session")
def proved(ground: Path, runtime_root: Path) -> Iterator[capabilities.Proved]:
    found = capabilities.open_sandbox(ground / "work", runtime_root)
    yield found
    found.sandbox.close()


@pytest.fixture
async def grid() -> AsyncIterator[coordinator.Coordinator]:
    async with coordinator.serving() as server:
        yield server


@pytest.fixture
def home(ground: Path) -> Iterator[Home]:
    """A fresh agent's folder."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=ground))
    os.chmod(folder, 0o755)
    yield Home(folder)
    shutil.rmtree(folder)


@pytest.fixture
def joined(home: Home, grid: coordinator.Coordinator) -> Home:
    """The folder of a node that has joined the coordinator."""
    home.save_identity(
        Identity(
            url=grid.url,
            node_id=grid.add_node(home.key().public_text),
            cooperative="Riverside",
            heartbeat_seconds=grid.heartbeat_seconds,
            poll_seconds=grid.poll_seconds,
        )
    )
    return home


@pytest.fixture(scope="session")
def measured() -> messages.Benchmark:
    """This machine, really measured, once for all tests."""
    return capabilities.measure(len(os.sched_getaffinity(0)))


@pytest.fixture
def measured_before(monkeypatch: pytest.MonkeyPatch, measured: messages.Benchmark) -> None:
    """Agents state the measurement that was made before, so that not each of them takes seconds for it."""
    monkeypatch.setattr(capabilities, "measure", lambda _cores: measured)


@pytest.fixture
async def enliven(joined: Home, proved: capabilities.Proved, measured_before: None) -> AsyncIterator[Enliven]:
    """Starts an agent in the joined folder, with the session's sandbox."""
    lives: list[Life] = []

    def start(kind: type[Agent] = Agent, **settings: int) -> Life:
        lives.append(Life(kind(joined, Settings(**settings)), proved))
        return lives[-1]

    yield start
    for life in lives:
        await life.end()
