"""Nobody is ever shown a bare code: every state and every reason that the platform gives has words."""

import re
from pathlib import Path

import pytest

from dashboard import reasons
from marketplace.core.orders import Reason
from marketplace.models import Order
from nodes.core import reasons as node_reasons
from nodes.models import Node
from opengrid.messages import ExitReason
from reputation.models import Dimension
from scheduler.models import Attempt, Job, Task

ROOT = Path(__file__).parents[2]
NOTED = re.compile(r"timeline\.note\([^,]+,\s*\"([a-z_]+)\"")
GIVEN = re.compile(r"reason\s*=\s*\"([a-z_]+)\"")


def codes_in(app):
    for path in (ROOT / app).rglob("*.py"):
        if "migrations" not in path.parts:
            text = path.read_text(encoding="utf-8")
            yield from NOTED.findall(text)
            yield from GIVEN.findall(text)


NODE_CODES = [value for name, value in vars(node_reasons).items() if name.isupper()]


@pytest.mark.parametrize(
    "code",
    sorted({*NODE_CODES, *ExitReason, *Reason, *codes_in("scheduler"), *codes_in("marketplace"), *codes_in("nodes")}),
)
def test_a_reason_has_words(code):
    assert code in reasons.REASONS or code in reasons.STEPS


@pytest.mark.parametrize(
    ("table", "states"),
    [
        (reasons.JOB_STATES, Job.State),
        (reasons.ATTEMPT_STATES, Attempt.State),
        (reasons.NODE_STATES, Node.State),
        (reasons.ORDER_STATES, Order.State),
        (reasons.PURPOSES, Attempt.Purpose),
        (reasons.DIMENSIONS, Dimension),
        (reasons.DIMENSION_HELP, Dimension),
    ],
)
def test_every_state_has_words(table, states):
    assert set(table) == set(states.values)


def test_every_look_of_a_task_has_words():
    assert set(reasons.TASK_STATES) == {*Task.State.values, "RUNNING", "CHECKING", "WAITING"} - {"OPEN"}


def test_amounts_and_reasons_inside_a_sentence_are_words_too():
    words = reasons.step("attempt_lost", {"task": 4, "node": "shed", "why": "node_dark"})

    assert words == "Task 4 was taken back from shed: the node has not been heard of for 30 seconds"
    assert reasons.step("job_done", {"returned_micro": 1_500_000}).endswith("1.50 credits of the hold went back")


def test_a_code_without_words_reads_as_its_name():
    assert reasons.sentence("some_new_code") == "Some new code"
    assert reasons.sentence("job_submitted", {}) == "Job submitted"
