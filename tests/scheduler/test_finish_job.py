"""The end of a job: its state, the rest of the hold once, its leases and orders."""

import pytest
from django.db.models import F

from common.clock import database_now
from ledger import queries as ledger
from marketplace.models import Lease
from scheduler import queries, tasks
from scheduler.models import Job, Task
from scheduler.services import capacity, jobs, verdicts
from tests.scheduler import world

pytestmark = pytest.mark.usefixtures("books_balance")
WHOLE = 1_000_000_000


def finish(job):
    done = jobs.finish_if_over(job_id=job.pk, now=database_now())
    job.refresh_from_db()
    return done


def run_all(machine, job):
    while given := machine.claim(8):
        for assignment in given:
            machine.deliver(assignment)
    world.verify_all(job)


def test_a_job_whose_tasks_are_all_accepted_is_done(alice, shed, balances):
    job = world.start(alice, 3)
    run_all(shed, job)

    assert finish(job)

    assert (job.state, job.reason) == ("DONE", "")
    assert balances(alice.wallet, job.hold_address, shed.node.operator.wallet) == [WHOLE - 3000, 0, 3 * 850]
    assert world.reasons(job)[-1] == "job_done"
    bill = queries.bill(job)
    assert (bill.total_micro, bill.released_micro, bill.remaining_micro) == (3000, job.held_micro - 3000, 0)


def test_the_hold_goes_back_exactly_once(alice, shed):
    job = world.start(alice)
    run_all(shed, job)

    assert [finish(job), finish(job)] == [True, False]

    assert len(ledger.postings_of(f"job:{job.pk}:release")) == 2


def test_one_failed_task_makes_the_job_failed_and_the_others_are_paid(alice, shed, balances):
    job = world.start(alice, 2)
    (given,) = shed.claim()
    Task.objects.filter(pk=given.task_id).update(claims=F("max_claims"))
    shed.fail(given)
    run_all(shed, job)

    finish(job)

    assert (job.state, job.reason) == ("FAILED", "tasks_failed")
    assert balances(alice.wallet) == [WHOLE - 1000]


def test_a_job_with_an_open_task_is_not_over(alice, shed):
    job = world.start(alice, 2, max_parallel=1)
    (given,) = shed.claim()
    shed.deliver(given)
    verdicts.verify_task(task_id=given.task_id, now=database_now())

    assert not finish(job)
    assert job.state == "RUNNING"


def test_a_job_that_is_not_expanded_is_not_over(alice, shed):
    assert not finish(world.submit(alice))


def test_leases_end_and_orders_are_cancelled(alice, shed):
    job = world.start(alice, 9, max_parallel=9)
    run_all(shed, job)
    finish(job)

    assert set(Lease.objects.values_list("state", "end_reason")) == {("ENDING", "job_finished")}
    world.tick(alice.cooperative)

    assert set(Lease.objects.values_list("state", flat=True)) == {"CLOSED"}
    assert {order.state for order in world.orders(job)} == {"CANCELLED"}
    offer = shed.node.orders.get()
    assert (offer.state, offer.open_lots) == ("OPEN", 4)


def test_an_order_that_filled_while_the_job_was_closing_does_not_keep_its_lots(alice, shed, barn):
    job = world.start(alice, 1)
    run_all(shed, job)
    run_all(barn, job)
    Lease.objects.update(state="LIVE", ended_at=None, end_reason="")
    Job.objects.filter(pk=job.pk).update(state="DONE", finished_at=database_now(), closed_at=database_now())

    assert capacity.end_useless_leases(now=database_now()) == 1
    assert Lease.objects.get().end_reason == "job_finished"


def test_the_timer_finds_all_that_no_message_announced(alice, shed, barn, balances):
    """Not one hint arrives; the drain alone carries the job from submission to payment."""
    job = world.submit(alice, 2, assurance="quorum-2")
    tasks.drain()
    world.tick(alice.cooperative)
    for machine in (shed, barn):
        for given in machine.claim(8):
            machine.deliver(given)

    tasks.drain()

    job.refresh_from_db()
    assert job.state == "DONE"
    assert balances(alice.wallet, job.hold_address) == [WHOLE - 4000, 0]


def test_without_the_worker_nothing_is_ordered_and_nothing_settled(alice, shed, balances):
    job = world.submit(alice)
    world.tick(alice.cooperative)
    assert (world.orders(job), shed.claim()) == ([], [])

    tasks.drain()
    world.tick(alice.cooperative)
    (given,) = shed.claim()
    shed.deliver(given)
    assert balances(shed.node.operator.wallet, job.hold_address) == [0, job.held_micro]

    tasks.drain()
    assert balances(shed.node.operator.wallet) == [850]


def test_a_task_that_cannot_be_judged_does_not_keep_the_others(alice, shed, store, caplog):
    world.start(alice, 2)
    for given in shed.claim(2):
        shed.deliver(given)
    first, second = Task.objects.order_by("pk")
    first.attempts.update(price_micro=2**62)  # more than the hold

    tasks.drain()

    states = dict(Task.objects.values_list("pk", "state"))
    assert states == {first.pk: "OPEN", second.pk: "ACCEPTED"}
    assert "the others go on" in caplog.text
