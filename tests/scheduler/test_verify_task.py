"""Verdict and settlement: bills by hand, liars unpaid, nobody charged where nobody agrees, once and no more."""

import numpy as np
import pytest

from common.clock import database_now
from ledger import services as ledger_services
from ledger.core.postings import Entry
from marketplace.models import Order
from nodes import services as node_services
from nodes.models import Node
from opengrid import messages, npy
from reputation.models import Contribution, Evidence, Score
from scheduler import queries
from scheduler.models import Attempt, Task
from scheduler.services import capacity, jobs, verdicts
from tests.registry import models
from tests.scheduler import world

pytestmark = pytest.mark.usefixtures("books_balance")


def verify(task_id=None):
    task_id = task_id or Task.objects.get().pk
    return verdicts.verify_task(task_id=task_id, now=database_now())


def run(machine, answer=b"42", *, ms=1000, name="answer.txt"):
    """Claim one task and deliver."""
    (given,) = machine.claim()
    machine.deliver(given, answer, ms=ms, name=name)
    return given


def lease_for_a_third(job):
    capacity.replenish(job_id=job.pk, now=database_now())
    world.tick(job.cooperative)


def funds(cooperative):
    return [f"coop:{cooperative.pk}:{name}" for name in ("treasury", "reserve", "assurance")]


def test_an_unchecked_task_is_billed_to_the_micro_credit(alice, cooperative, shed, balances):
    job = world.start(alice)
    given = run(shed, ms=1003)

    assert verify()

    # 1003 ms at 3 600 000 per hour are 1003 micro; 85 : 8 : 4 : 3, the largest remainders round up
    assert balances(shed.node.operator.wallet, *funds(cooperative)) == [853, 80, 40, 30]
    assert balances(job.hold_address) == [20_000 - 1003]
    row, task = world.attempt(given), Task.objects.get()
    assert (row.state, row.billed_ms, row.billed_micro) == ("ACCEPTED", 1003, 1003)
    assert (task.state, task.accepted_attempt_id, task.open_executions) == ("ACCEPTED", row.pk, 0)
    assert world.evidence(shed.node, "correctness") == []


def test_a_quorum_is_billed_the_lowest_time_at_each_leases_price(alice, olga, pete, cooperative, balances):
    cheap = world.Machine(olga, price_micro=2_400_000)
    dear = world.Machine(pete, price_micro=5_400_000)
    job = world.start(alice, assurance="quorum-2")
    run(cheap, ms=3000)
    run(dear, ms=1500)

    verify()

    # both are billed 1500 ms: 1000 and 2250 micro
    # 85 % of 2250 is 1912.5; the assurance fund, first by name, has the other half
    assert balances(olga.wallet, pete.wallet) == [850, 1912]
    assert sum(balances(*funds(cooperative))) == 3250 - 850 - 1912
    bill = queries.bill(job)
    assert (bill.compute_micro, bill.royalty_micro, bill.executions_billed, bill.billed_ms) == (3250, 0, 2, 3000)
    assert balances(job.hold_address) == [job.held_micro - 3250]


def test_the_earlier_of_two_agreeing_results_is_the_one_that_is_shown(alice, shed, barn):
    job = world.start(alice, assurance="quorum-2")
    first = run(barn)
    run(shed)
    Attempt.objects.filter(pk=first.attempt_id).update(submitted_at=database_now() - world.timedelta(seconds=1))

    verify()

    assert Task.objects.get().accepted_attempt_id == first.attempt_id
    assert [output.attempt_id for output in queries.accepted_outputs(job)] == [first.attempt_id]


def test_one_result_of_two_waits(alice, shed, barn, balances):
    world.start(alice, assurance="quorum-2")
    run(shed)

    assert not verify()
    assert Task.objects.get().state == "OPEN"
    assert balances(shed.node.operator.wallet) == [0]


def test_twice_pays_once(alice, shed, barn, balances):
    world.start(alice, assurance="quorum-2")
    run(shed)
    run(barn)

    assert [verify(), verify()] == [True, False]

    assert balances(shed.node.operator.wallet, barn.node.operator.wallet) == [850, 850]
    assert Contribution.objects.filter(kind="COMPUTE").count() == 2
    assert Evidence.objects.filter(dimension="correctness").count() == 2


def test_owners_share_what_their_node_earns(alice, olga, pete, quin, shed, balances):
    node_services.set_shares(by=olga, node=shed.node, shares={olga.pk: 5000, pete.pk: 3333, quin.pk: 1667})
    world.start(alice)
    run(shed, ms=1001)

    verify()

    # 85 % of 1001 is 850.85, so 851 for the owners: 425.5, 283.6, 141.9
    earned = balances(olga.wallet, pete.wallet, quin.wallet)
    assert sum(earned) == 851
    assert earned == [425, 284, 142]
    assert dict(Contribution.objects.values_list("membership_id", "earned_micro")) == {
        olga.pk: 425, pete.pk: 284, quin.pk: 142
    }  # fmt: skip


def test_the_publisher_gets_the_royalty_less_the_fee_once_per_task(alice, bob, shed, barn, cooperative, balances, now):
    version = models.Publisher(bob, now).publish()
    rows = world.an_array(alice, np.zeros((8, 4), np.float32))
    spec = messages.JobSpec(
        name="multiply", runner=messages.Runner.ONNX, model_version_id=version.pk, inputs=(rows,), rows_per_task=4,
        assurance="quorum-2", limit_price_micro=world.LIMIT_MICRO, max_seconds=10,
    )  # fmt: skip
    job = jobs.submit_job(membership=alice, spec=spec, now=database_now())
    jobs.expand_job(job_id=job.pk, now=database_now())
    world.tick(cooperative)
    for machine in (shed, barn):
        for given in machine.claim(2):
            assert given.model.version_id == version.pk
            machine.deliver(given)

    world.verify_all(job)

    # 250 per task, 5 % of it to the treasury: 237.5 and 12.5
    assert balances(bob.wallet)[0] in (2 * 237, 2 * 238)
    assert balances(bob.wallet)[0] + balances(f"coop:{cooperative.pk}:treasury")[0] == 2 * (250 + 2 * 80)
    assert queries.bill(job).royalty_micro == 500
    assert Contribution.objects.filter(kind="MODEL", membership=bob).count() == 2


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


def test_a_rejection_puts_a_trusted_node_back_on_probation(alice, shed, barn, loft):
    job = world.start(alice, assurance="quorum-2")
    run(shed)
    run(barn, b"a lie")
    verify()
    lease_for_a_third(job)
    run(loft)

    verify()

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
    job = world.start(alice, assurance="quorum-2")
    run(shed)
    run(barn, b"a lie")
    verify()
    lease_for_a_third(job)
    run(loft)
    verify()

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


def test_own_work_is_accepted_unchecked_unpaid_and_unjudged(bob, olga, shed, balances):
    world.credit(bob, olga, 100_000)
    job = world.start(olga, assurance="quorum-3")
    run(shed)

    assert verify()

    assert queries.bill(job).total_micro == 0
    assert balances(olga.wallet, job.hold_address) == [100_000 - job.held_micro, job.held_micro]
    assert not Evidence.objects.exists()
    assert not Contribution.objects.exists()


def test_the_policy_of_the_submission_rules_the_settlement(alice, bob, sam, shed, balances):
    world.start(alice)
    world.rules(bob, sam, operator_bp=1000, treasury_bp=8300)
    run(shed)

    verify()

    assert balances(shed.node.operator.wallet) == [850]


def test_orders_are_not_placed_for_a_tie_break_that_is_on_its_way(alice, shed, barn, loft):
    job = world.start(alice, assurance="quorum-2")
    run(shed, b"1")
    run(barn, b"2")
    verify()

    for _ in range(3):
        capacity.replenish(job_id=job.pk, now=database_now())

    assert Order.objects.filter(reference=job.reference).count() == 2
