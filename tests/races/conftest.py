"""Processes of their own, started once, that act at the same moment on what the test committed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from ledger import queries as ledger
from ledger import services as ledger_services
from tests.scheduler import world

ROOT = Path(__file__).parents[2]
WORKERS = 8


class Failed(AssertionError):
    """A process met something that no race may bring about, such as a deadlock."""


class Worker:
    """One process and the pipe to it."""

    def __init__(self, database):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.races.worker", database],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"a worker died with code {self.process.wait(10)}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        return self.process


@pytest.fixture(scope="session")
def workers(django_db_setup):
    """Eight processes with database connections of their own."""
    started = [Worker(connection.settings_dict["NAME"]) for _ in range(WORKERS)]
    yield started
    for process in [worker.close() for worker in started]:
        process.wait(30)


class Race:
    """Acts that have begun."""

    def __init__(self, running):
        self.running = running

    def results(self):
        """What each act returned, or the code of its refusal. Raises: Failed."""
        answers = [worker.hear() for worker in self.running]
        for answer in answers:
            if "failed" in answer:
                raise Failed(answer["failed"])
        return [answer.get("result", answer.get("refused")) for answer in answers]


@pytest.fixture
def begin(workers):
    """Let each `(act, arguments)` begin in a process of its own at the same moment."""

    def start(*acts):
        running = workers[: len(acts)]
        assert len(running) == len(acts)
        for worker, act in zip(running, acts, strict=True):
            worker.say(json.dumps(act))
        for worker in running:
            assert worker.hear() == "ready"
        for worker in running:
            worker.say("go")
        return Race(running)

    return start


@pytest.fixture
def race(begin):
    """As `begin`, and wait for the results."""
    return lambda *acts: begin(*acts).results()


@pytest.fixture(autouse=True)
def store(settings, tmp_path):
    settings.BLOB_DIR = tmp_path / "blobs"
    return settings.BLOB_DIR


@pytest.fixture
def alice(alice, bob):
    """A member with 1000 credits."""
    world.credit(bob, alice)
    return alice


@pytest.fixture
def operators(cooperative, olga):
    """Four operators."""
    return [olga, *(world.a_member(cooperative, name) for name in ("Pete", "Quin", "Rita"))]


@pytest.fixture
def machines(operators):
    """A trusted machine of each of three operators."""
    return [world.Machine(operator) for operator in operators[:3]]


@pytest.fixture
def balances():
    def read(*addresses):
        found = ledger.balances(addresses)
        return [found[address] for address in addresses]

    return read


@pytest.fixture(autouse=True)
def books_balance(transactional_db):
    """After every race the books balance."""
    yield
    assert ledger_services.check_ledger() == []
