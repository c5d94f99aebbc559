"""A running platform with two machines of two owners, once for all the stories of the API."""

import json

import pytest

from tests.faults.grid import running_grid


@pytest.fixture(scope="session")
def grid():
    with running_grid(seed=3, machines=2) as started:
        yield started


@pytest.fixture(scope="session")
def act(grid):
    """Carries out an act of tests.contract.founding; returns what came of it."""

    def carry_out(*arguments):
        done = grid.run("-m", "tests.contract.founding", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return carry_out
