"""A running platform with two machines and its first job, once for all the stories that an honest grid can tell."""

import random

import pytest

from tests.faults import workload
from tests.faults.audit import Auditor
from tests.faults.grid import running_grid


@pytest.fixture(scope="session")
def grid():
    with running_grid(seed=1, machines=2) as started:
        yield started


@pytest.fixture(scope="session")
def auditor(grid):
    return Auditor(grid)


@pytest.fixture(scope="session")
def first_job(grid, auditor):
    """The first job of the platform, ended and closed."""
    job = workload.submit_sums(grid.member, grid.material, random.Random(1), "the first job", "quorum-2")
    auditor.rest()
    return job
