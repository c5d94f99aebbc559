"""Cancelling: what nobody has begun ends at once, what is out is finished and paid, the rest goes back."""

import pytest

from common import errors
from common.clock import database_now
from opengrid import messages
from scheduler import queries
from scheduler.models import Task
from scheduler.services import capacity, endings, jobs, verdicts
from tests.scheduler import world

pytestmark = pytest.mark.usefixtures("books_balance")
WHOLE = 1_000_000_000


def cancel(job, by):
    return jobs.cancel_job(job=job, by=by, now=database_now())


def finish(job):
    return jobs.finish_if_over(job_id=job.pk, now=database_now())


def test_a_job_that_nobody_has_begun_is_over_at_once(alice, shed, balances):
    job = cancel(world.start(alice, 3), alice)

    assert (job.state, job.reason) == ("CANCELLED", "cancelled_by_member")
    assert job.closed_at is not None
    assert set(Task.objects.values_list("state", "reason")) == {("CANCELLED", "cancelled_by_member")}
    assert balances(alice.wallet, job.hold_address) == [WHOLE, 0]
    assert shed.claim() == []
    world.tick(alice.cooperative)
    assert world.lots(job) == {}


def test_before_it_is_expanded_it_is_over_as_well(alice, shed, balances):
    job = cancel(world.submit(alice), alice)

    assert job.closed_at is not None
    assert not jobs.expand_job(job_id=job.pk, now=database_now())
    assert balances(alice.wallet) == [WHOLE]


def test_what_is_out_is_finished_and_paid_and_the_rest_goes_back(alice, shed, balances):
    job = world.start(alice, 3, max_parallel=1)
    (given,) = shed.claim()

    job = cancel(job, alice)
    assert job.closed_at is None
    assert sorted(Task.objects.values_list("state", flat=True)) == ["CANCELLED", "CANCELLED", "OPEN"]
    assert shed.claim() == []
    shed.deliver(given)
    verdicts.verify_task(task_id=given.task_id, now=database_now())
    assert finish(job)

    job.refresh_from_db()
    assert (job.state, queries.bill(job).compute_micro) == ("CANCELLED", 1000)
    assert balances(alice.wallet, shed.node.operator.wallet, job.hold_address) == [WHOLE - 1000, 850, 0]


def test_the_other_half_of_a_begun_quorum_is_still_bought_and_run(alice, shed, barn):
    job = world.start(alice, assurance="quorum-2")
    (given,) = shed.claim()
    cancel(job, alice)

    world.tick(alice.cooperative)
    capacity.replenish(job_id=job.pk, now=database_now())
    world.tick(alice.cooperative)
    for machine, assignment in ((shed, given), (barn, barn.claim()[0])):
        machine.deliver(assignment)
    world.verify_all(job)

    assert finish(job)
    assert Task.objects.get().state == "ACCEPTED"


def test_a_task_that_comes_back_to_a_cancelled_job_is_not_handed_out_again(alice, shed, balances):
    job = world.start(alice)
    (given,) = shed.claim()
    cancel(job, alice)
    shed.fail(given, messages.ExitReason.SANDBOX_UNAVAILABLE)

    assert finish(job)

    assert Task.objects.get().state == "CANCELLED"
    assert balances(alice.wallet, job.hold_address) == [WHOLE, 0]


def test_a_task_lost_after_the_cancel_ends_as_well(alice, shed, balances):
    job = world.start(alice)
    (given,) = shed.claim()
    cancel(job, alice)
    world.expire(given)
    endings.reap(now=database_now())

    assert finish(job)
    assert balances(alice.wallet) == [WHOLE]


def test_a_cancel_takes_the_resting_orders_off_the_book(alice, shed):
    job = world.start(alice, 9, max_parallel=9)  # only four lots are there
    shed.claim(1)

    cancel(job, alice)
    world.tick(alice.cooperative)

    (order,) = world.orders(job)
    assert (order.state, order.filled_lots, order.reason) == ("CANCELLED", 4, "no_longer_needed")


def test_twice_is_refused(alice, shed):
    job = cancel(world.start(alice), alice)

    with pytest.raises(jobs.AlreadyFinished, match="CANCELLED"):
        cancel(job, alice)


def test_only_the_member_who_submitted_it_may(alice, bob, shed):
    job = world.start(alice)

    with pytest.raises(errors.Forbidden):
        cancel(job, bob)

    job.refresh_from_db()
    assert job.state == "QUEUED"
