"""One kill of each kind of process in the middle of a job, and the worker away for a while.

`python -m tests.faults` does the same ten times each; `... --controls` shows that it would notice.
"""

import json
import signal
import subprocess
import sys

import pytest

from config.embedded import CHECKOUT
from config.supervision import spawn
from tests.faults.kills import KINDS

pytestmark = pytest.mark.timeout(600)
SEED = 20261121
SECONDS = 500
PLAYED = (*KINDS, "agent:1", "worker-stopped")
"""agent:1 is paused until it counts as dark, and reports late."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the command found, by kind and number; one platform for all of it."""
    folder = tmp_path_factory.mktemp("faults")
    facts, said = folder / "facts.json", folder / "said.txt"
    command = ["-m", "tests.faults", "--kills", "1", "--seed", str(SEED), "--only", ",".join(PLAYED)]
    with said.open("wb") as output:
        harness = spawn.spawn(
            [sys.executable, *command, "--json", str(facts)],
            death_signal=signal.SIGTERM,
            directory=CHECKOUT,
            output=output,
        )
        try:
            harness.wait(SECONDS)
        except subprocess.TimeoutExpired:
            harness.terminate()
            harness.wait(120)
    assert facts.exists(), said.read_text(errors="replace")
    return {(outcome["kind"], outcome["number"]): outcome for outcome in json.loads(facts.read_text())["outcomes"]}


@pytest.mark.parametrize(
    "kill", [*((kind, 0) for kind in KINDS), ("agent", 1)], ids=lambda kill: f"{kill[0]}-{kill[1]}"
)
def test_a_job_survives_the_kill_and_is_paid_once(outcomes, kill):
    outcome = outcomes[kill]

    assert outcome["findings"] == []
    assert 0.2 <= outcome["accepted_at_strike"] / outcome["tasks"] <= 0.8


def test_nothing_is_ordered_or_settled_without_the_worker_and_all_of_it_with_it(outcomes):
    assert outcomes["worker-stopped", 0]["findings"] == []
