"""Agents of the people in tests/conftest.py."""

import pytest

from tests.nodes import agents


@pytest.fixture
def agent(olga):
    """An agent of Olga's whose node works (on probation)."""
    return agents.an_agent(olga, working_now=True)


@pytest.fixture
def new_agent(olga):
    """An agent of Olga's whose node has only joined."""
    return agents.an_agent(olga)
