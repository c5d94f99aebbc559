"""What a verdict means for the node: probation, quarantine, scores."""

import pytest

from nodes.models import Node
from reputation.models import Score
from scheduler import queries
from tests.scheduler import world
from tests.scheduler.verifying import lease_for_a_third, run, verify

pytestmark = pytest.mark.usefixtures("books_balance")


def test_the_check_of_a_novice_is_paid_by_the_fund(alice, olga, pete, cooperative, balances):
    novice = world.Machine(olga, trusted=False, price_micro=world.PRICE_MICRO - 1)
    other = world.Machine(pete, trusted=False)
    job = world.start(alice, max_parallel=1)
    run(novice)
    lease_for_a_third(job)
    run(other)

    verify()

    bill = queries.bill(job)
    assert bill.compute_micro == bill.paid_by_assurance_micro == 1000
    assert balances(olga.wallet, pete.wallet) == [850, 850]
    assert balances(f"coop:{cooperative.pk}:assurance") == [60 - 1000]
    assert Node.objects.get(pk=novice.node.pk).validated_in_a_row == 1


def test_probation_ends_after_ten_validated_results(alice, olga, pete):
    novice, other = world.Machine(olga, trusted=False), world.Machine(pete)
    job = world.start(alice, 10, assurance="quorum-2")
    for _ in range(10):
        run(other)
    for number in range(10):
        assert Node.objects.get(pk=novice.node.pk).state == "PROBATION"
        verify(run(novice).task_id)
        assert Node.objects.get(pk=novice.node.pk).validated_in_a_row == number + 1

    assert Node.objects.get(pk=novice.node.pk).state == "ACTIVE"
    assert job.tasks.filter(state="ACCEPTED").count() == 10


def find_barn_lying(alice, shed, barn, loft):
    """One job whose result the barn makes up, and a third owner who tells."""
    job = world.start(alice, assurance="quorum-2")
    run(shed)
    run(barn, b"a lie")
    verify()
    lease_for_a_third(job)
    run(loft)
    verify()


def test_a_rejection_puts_a_trusted_node_back_on_probation(alice, shed, barn, loft):
    find_barn_lying(alice, shed, barn, loft)

    liar = Node.objects.get(pk=barn.node.pk)
    assert (liar.state, liar.validated_in_a_row) == ("PROBATION", 0)


@pytest.mark.parametrize(("state", "lies", "expected"), [
    ("ACTIVE", 2, "PROBATION"), ("ACTIVE", 3, "QUARANTINED"), ("DRAINING", 3, "QUARANTINED"),
])  # fmt: skip
def test_three_rejections_within_ten_quarantine(alice, shed, barn, loft, state, lies, expected):
    job = world.start(alice, lies, assurance="quorum-2", max_parallel=4 * lies)
    for machine, answer in ((barn, b"a lie"), (shed, b"42")):
        for given in machine.claim(lies):
            machine.deliver(given, answer)
    Node.objects.filter(pk=barn.node.pk).update(state=state)
    world.verify_all(job)
    for _ in range(lies):
        lease_for_a_third(job)
        for given in loft.claim():
            loft.deliver(given)
        world.verify_all(job)

    liar = Node.objects.get(pk=barn.node.pk)
    assert liar.state == expected
    assert job.tasks.filter(state="ACCEPTED").count() == lies
    assert ("node_quarantined" in world.reasons(job)) == (expected == "QUARANTINED")
    if expected == "QUARANTINED":
        assert liar.state_reason == "repeated_rejections"


def test_scores_move_with_the_verdict(alice, shed, barn, loft):
    find_barn_lying(alice, shed, barn, loft)

    score = {
        machine: Score.objects.get(node=machine.node, dimension="correctness").score_micro
        for machine in (shed, barn, loft)
    }
    assert score[barn] < score[shed] == score[loft]


def test_delivery_that_nobody_checked_is_scored_by_the_sweep(alice, shed):
    from reputation import tasks

    world.start(alice)
    run(shed)
    verify()

    tasks.rescore_pending()

    assert Score.objects.get(node=shed.node, dimension="delivery").score_micro > 50_000
