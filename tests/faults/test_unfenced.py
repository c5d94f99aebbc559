"""The control that shows what the fencing check is for takes out the check that is really there."""

from scheduler.services import results
from tests.faults import unfenced


def test_the_statement_that_takes_in_results_has_the_check_that_the_control_removes():
    assert results._SUBMIT.count(unfenced.FENCE) == 1
