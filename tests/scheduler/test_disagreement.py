"""Results that differ: liars unpaid, a third owner decides, nobody charged where nobody agrees."""

import numpy as np
import pytest

from common.clock import database_now
from ledger import services as ledger_services
from ledger.core.postings import Entry
from marketplace.models import Order
from nodes.models import Node
from opengrid import npy
from reputation.models import Evidence
from scheduler import queries
from scheduler.models import Task
from scheduler.services import capacity
from tests.scheduler import world
from tests.scheduler.verifying import lease_for_a_third, run, verify

pytestmark = pytest.mark.usefixtures("books_balance")


def test_a_liar_is_outvoted_by_a_third_owner_and_not_paid(alice, shed, barn, loft, cooperative, balances):
    job = world.start(alice, assurance="quorum-2")
    honest, lie = run(shed, b"42"), run(barn, b"41")

    assert not verify()
    task = Task.objects.get()
    assert (task.state, task.tie_breaks, task.wanted_results, task.open_executions) == ("OPEN", 1, 3, 1)
    lease_for_a_third(job)
    third = run(loft, b"42")
    assert verify()

    states = {given.attempt_id: world.attempt(given).state for given in (honest, lie, third)}
    assert states == {honest.attempt_id: "ACCEPTED", lie.attempt_id: "REJECTED", third.attempt_id: "ACCEPTED"}
    assert balances(*(machine.node.operator.wallet for machine in (shed, barn, loft))) == [850, 0, 850]
    assert world.attempt(lie).billed_micro is None
    bill = queries.bill(job)
    assert (bill.compute_micro, bill.paid_by_assurance_micro) == (1000, 1000)
    # the fund paid 1000 for the third run and got its 3 % of both
    assert balances(f"coop:{cooperative.pk}:assurance") == [60 - 1000]
    assert world.evidence(barn.node, "correctness") == [(False, "disagreed")]
    assert world.evidence(loft.node, "correctness") == [(True, "agreed")]
    assert {"tie_break", "result_rejected"} <= set(world.reasons(job))


def test_the_third_lot_is_bought_of_another_owner_however_much_dearer(alice, olga, shed, barn, quin):
    dear = world.Machine(quin, price_micro=world.LIMIT_MICRO)
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")
    verify()

    world.tick(job.cooperative)

    assert world.lots(job)[dear.node.pk] == 1
    assert len(dear.claim()) == 1


def test_a_validator_may_be_the_third_owner(alice, olga, shed, barn):
    watch = world.Machine(olga, price_micro=world.LIMIT_MICRO)
    Node.objects.filter(pk=watch.node.pk).update(is_validator=True)
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")

    verify()
    lease_for_a_third(job)
    run(watch, b"1")

    assert verify()
    assert Task.objects.get().state == "ACCEPTED"


def test_a_validator_that_has_run_it_is_not_asked_again(alice, olga, barn, loft):
    watch = world.Machine(olga, price_micro=world.PRICE_MICRO - 1)
    Node.objects.filter(pk=watch.node.pk).update(is_validator=True)
    watch.node.refresh_from_db()
    job = world.start(alice, assurance="quorum-2")
    run(watch, b"1")
    run(barn, b"2")

    verify()
    for _ in range(3):
        lease_for_a_third(job)

    assert world.lots(job) == {watch.node.pk: 1, barn.node.pk: 1, loft.node.pk: 1}


def test_without_a_third_owner_the_task_fails_and_nobody_is_charged(alice, shed, barn, balances):
    job = world.start(alice, assurance="quorum-2")
    lies = [run(shed, b"1"), run(barn, b"2")]

    assert verify()

    task = Task.objects.get()
    assert (task.state, task.reason) == ("FAILED", "no_third_owner")
    assert {world.attempt(given).state for given in lies} == {"CANCELLED"}
    assert balances(job.hold_address, shed.node.operator.wallet) == [job.held_micro, 0]
    assert not Evidence.objects.filter(dimension="correctness").exists()


def test_the_submitters_own_node_is_no_third_owner(alice, shed, barn, bob):
    alice.roles = ["MEMBER", "OPERATOR"]
    alice.save()
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")
    world.Machine(alice)

    assert verify()
    assert Task.objects.get().reason == "no_third_owner"
    assert job.held_micro == queries.bill(job).remaining_micro


def test_three_different_answers_fail_the_task(alice, shed, barn, loft, balances):
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")
    verify()
    lease_for_a_third(job)
    run(loft, b"3")

    assert verify()

    assert (Task.objects.get().state, Task.objects.get().reason) == ("FAILED", "no_agreement")
    assert balances(*(machine.node.operator.wallet for machine in (shed, barn, loft))) == [0, 0, 0]


def test_a_fund_that_may_not_owe_more_pays_no_third_run(alice, shed, barn, loft, cooperative):
    prefix = f"coop:{cooperative.pk}"
    entries = [Entry(f"{prefix}:assurance", -1_000_000_000), Entry(f"{prefix}:treasury", 1_000_000_000)]
    ledger_services.transfer(key="earlier checks", kind="settlement", entries=entries)
    world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")

    assert verify()
    assert Task.objects.get().reason == "assurance_fund_exhausted"


def probabilities(*last):
    return npy.dump(np.array([[0.2, 0.8], [0.6, *last]], dtype=np.float32))


@pytest.mark.parametrize(("other", "agrees"), [(0.4 + 1e-6, True), (0.41, False)])
def test_floats_agree_within_the_tolerance_of_honest_processors(alice, shed, barn, other, agrees):
    world.start(alice, assurance="quorum-2")
    run(shed, probabilities(0.4), name="p.npy")
    run(barn, probabilities(other), name="p.npy")

    verify()

    assert (Task.objects.get().state == "ACCEPTED") == agrees


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"p.npy": probabilities(0.4)}, {"q.npy": probabilities(0.4)}),
        ({"p.npy": probabilities(0.4)}, {"p.npy": b"no array"}),
        ({"p.npy": b"one"}, {"p.npy": b"two"}),
        ({"p.txt": probabilities(0.4)}, {"p.txt": probabilities(0.4 + 1e-6)}),
        ({"p.npy": probabilities(0.4)}, {"p.npy": probabilities(0.4), "q.npy": b""}),
    ],
)
def test_nothing_else_is_forgiven(alice, shed, barn, left, right):
    world.start(alice, assurance="quorum-2")
    for machine, files in ((shed, left), (barn, right)):
        (given,) = machine.claim()
        machine.report(given, machine.signed(machine.receipt(given, machine.upload(given, files))))

    verify()

    assert Task.objects.get().reason == "no_third_owner"


def test_orders_are_not_placed_for_a_tie_break_that_is_on_its_way(alice, shed, barn, loft):
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")
    verify()

    for _ in range(3):
        capacity.replenish(job_id=job.pk, now=database_now())

    assert Order.objects.filter(reference=job.reference).count() == 2
