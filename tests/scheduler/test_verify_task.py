"""Verdict and settlement: bills by hand, to the micro-credit, once and no more."""

import numpy as np
import pytest

from common.clock import database_now
from nodes import services as node_services
from opengrid import messages
from reputation.models import Contribution, Evidence
from scheduler import queries
from scheduler.models import Attempt, Task
from scheduler.services import jobs
from tests.registry import models
from tests.scheduler import world
from tests.scheduler.verifying import funds, run, verify

pytestmark = pytest.mark.usefixtures("books_balance")


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
