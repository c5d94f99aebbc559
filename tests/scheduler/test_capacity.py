"""Lots for a job: bought when they lack, of other owners when a task is stuck, given back when they idle."""

from datetime import timedelta

import pytest
from django.db.models import F

from common.clock import database_now
from marketplace import services as market
from marketplace.models import Lease
from nodes.models import Node
from scheduler import queries
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, endings
from tests.scheduler import world


def replenish(job):
    capacity.replenish(job_id=job.pk, now=database_now())
    world.tick(job.cooperative)


def end_useless():
    return capacity.end_useless_leases(now=database_now())


def earlier(seconds):
    """All leases and attempts are so much older."""
    delta = timedelta(seconds=seconds)
    Lease.objects.update(opened_at=F("opened_at") - delta)
    Attempt.objects.update(
        claimed_at=F("claimed_at") - delta, submitted_at=F("submitted_at") - delta, finished_at=F("finished_at") - delta
    )


def test_a_job_buys_a_lot_for_each_execution_but_no_more_than_run_at_once(alice, shed, barn):
    assert world.lots(world.start(alice, 3, assurance="quorum-2", max_parallel=8)) == {shed.node.pk: 3, barn.node.pk: 3}
    assert world.lots(world.start(alice, 9, max_parallel=2)) == {shed.node.pk: 1, barn.node.pk: 1}


def test_what_it_has_is_not_bought_again(alice, shed):
    job = world.start(alice, 9, max_parallel=9)
    assert world.lots(job) == {shed.node.pk: 4}

    for _ in range(3):
        replenish(job)

    assert [order.lots for order in world.orders(job)] == [9]


def test_lots_of_a_dark_node_are_bought_of_another(alice, shed, barn):
    job = world.start(alice, 3, max_parallel=3)
    assert set(world.lots(job)) == {shed.node.pk}
    shed.claim(2)
    shed.go_dark()

    endings.reap(now=database_now())
    assert end_useless() == 1
    replenish(job)

    assert world.lots(job) == {barn.node.pk: 3}
    assert len(barn.claim(8)) == 3


def test_a_quorum_that_lost_an_owner_waits_for_a_third_and_goes_on(alice, shed, barn, loft):
    job = world.start(alice, 2, assurance="quorum-2", max_parallel=4)
    for given in shed.claim(8):
        shed.deliver(given)
    shed_first = set(world.lots(job))
    barn.go_dark()
    end_useless()

    replenish(job)
    replenish(job)

    assert shed_first == {shed.node.pk, barn.node.pk}
    assert world.lots(job)[loft.node.pk] >= 1
    while given := loft.claim(8):
        for assignment in given:
            loft.deliver(assignment)
    world.verify_all(job)
    assert job.tasks.filter(state="ACCEPTED").count() == 2


def test_an_owner_that_failed_twice_is_passed_over_for_another(alice, shed, barn):
    job = world.start(alice)
    for _ in range(2):
        (given,) = shed.claim()
        shed.fail(given)

    replenish(job)

    assert world.lots(job)[barn.node.pk] == 1
    assert len(barn.claim()) == 1


def test_a_lease_that_never_worked_ends_after_a_minute(alice, shed):
    world.start(alice)
    earlier(59)
    assert end_useless() == 0
    earlier(2)

    assert end_useless() == 1
    assert Lease.objects.get().end_reason == "lease_idle"


def test_a_lease_that_works_does_not_end_however_long_it_takes(alice, shed):
    world.start(alice)
    shed.claim()
    earlier(600)

    assert end_useless() == 0


def test_a_lease_that_has_just_finished_a_long_task_is_not_idle(alice, shed):
    """Idle counts from the end of the last work; from its beginning, every long task would cost its lease."""
    world.start(alice, 2, max_parallel=1)
    (given,) = shed.claim()
    earlier(300)
    shed.deliver(given, ms=0)

    assert end_useless() == 0
    earlier(61)
    assert end_useless() == 1


@pytest.mark.parametrize(("state", "ended"), [("DRAINING", 1), ("QUARANTINED", 1), ("RETIRED", 1), ("PROBATION", 0)])
def test_a_node_that_takes_no_more_work_gives_its_lots_back(alice, shed, state, ended):
    world.start(alice)
    Node.objects.filter(pk=shed.node.pk).update(state=state)

    assert end_useless() == ended


def test_a_draining_node_keeps_the_lease_of_what_it_runs(alice, shed):
    world.start(alice)
    shed.claim()
    Node.objects.filter(pk=shed.node.pk).update(state="DRAINING")

    assert end_useless() == 0


def test_twice_ends_once(alice, shed):
    world.start(alice)
    shed.go_dark()

    assert (end_useless(), end_useless()) == (1, 0)


def test_the_owner_spread_leaves_room_for_each_execution(alice, shed, barn, loft):
    job = world.start(alice, 9, assurance="quorum-3", max_parallel=6)

    assert world.lots(job) == {shed.node.pk: 2, barn.node.pk: 2, loft.node.pk: 2}


def test_after_the_order_was_cancelled_a_tie_break_still_finds_its_lot(alice, shed, barn, loft):
    from marketplace import services as market

    job = world.start(alice, assurance="quorum-2")
    for machine, answer in ((shed, b"1"), (barn, b"2")):
        (given,) = machine.claim()
        machine.deliver(given, answer)
    market.end_leases(lease_ids=Lease.objects.values_list("pk", flat=True), reason="lease_idle", now=database_now())
    world.verify_all(job)
    market.cancel_orders_of(reference=job.reference)
    world.tick(job.cooperative)

    for _ in range(3):
        replenish(job)

    assert world.lots(job).get(loft.node.pk) == 1
    assert len(loft.claim()) == 1


def test_a_sweep_names_the_jobs_in_need_and_no_others(alice, olga, shed):
    served = world.start(alice, 2, max_parallel=2)
    finished = world.start(alice, 1, max_parallel=1)
    Task.objects.filter(job=finished).update(state="FAILED", open_executions=0)
    hungry = world.start(alice, 3, max_parallel=3)
    cancelled = world.start(alice, 1, max_parallel=1)
    for job in (hungry, cancelled):
        market.cancel_orders_of(reference=job.reference)
    world.tick(alice.cooperative)
    Job.objects.filter(pk=cancelled.pk).update(state="CANCELLED", finished_at=database_now())

    assert queries.in_need() == [finished.pk, hungry.pk, cancelled.pk]

    shed.claim(1)
    assert served.pk not in queries.in_need()


def test_a_sweep_over_jobs_that_need_nothing_is_one_statement(alice, shed, django_assert_num_queries):
    for _ in range(3):
        world.start(alice, 1, max_parallel=1)

    with django_assert_num_queries(1):
        assert queries.in_need() == []
