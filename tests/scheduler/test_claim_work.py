"""Claiming: who gets which task, how often, at whose cost."""

import re
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from common.clock import database_now
from ledger import services as ledger
from ledger.core.postings import Entry
from marketplace import services as market
from marketplace.models import Lease
from nodes.models import Node
from opengrid import messages
from scheduler import queries
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, claims
from tests.scheduler import world


def test_an_assignment_says_all_that_the_agent_needs(alice, shed):
    job = world.start(alice, max_seconds=7, memory_mib=300, disk_mib=5)

    (given,) = shed.claim()

    spec, task, row = job.request, job.tasks.get(), world.attempt(given)
    assert (given.runner, given.model, given.bundle) == (messages.Runner.PYTHON, None, spec.bundle)
    assert given.inputs == spec.inputs
    assert (given.limits.wall_seconds, given.limits.memory_mib, given.limits.disk_mib) == (7, 300, 5)
    assert given.limits.output_bytes == 5 * 1024 * 1024
    assert (given.token, task.claims, task.open_executions, task.bought_left) == (1, 1, 0, 0)
    assert row.deadline_at - row.claimed_at == timedelta(seconds=7 + claims.TRANSFER_GRACE_SECONDS)
    assert (row.state, row.purpose, row.price_micro, row.lot_milli) == ("RUNNING", "BOUGHT", world.PRICE_MICRO, 1000)
    job.refresh_from_db()
    assert job.state == "RUNNING"
    assert world.reasons(job)[-1] == "job_started"


def test_tasks_are_drawn_at_random(alice, shed):
    job = world.start(alice, 40, max_parallel=4)

    drawn = []
    while len(drawn) < 20:
        given = shed.claim(4)
        drawn += [world.attempt(assignment).task.index for assignment in given]
        for assignment in given:
            shed.deliver(assignment)

    assert drawn != sorted(drawn)
    assert len(set(drawn)) == 20
    assert Task.objects.filter(job=job, claims__gt=1).count() == 0


def test_a_claim_takes_no_more_than_the_leased_lots(alice, shed):
    world.start(alice, 10, max_parallel=3)

    assert len(shed.claim(10)) == 3
    assert shed.claim(10) == []


def test_a_claim_takes_no_more_than_it_asks_for_and_begins_where_least_runs(alice, bob, shed):
    first, second = world.start(alice, 2, max_parallel=2), world.start(alice, 2, max_parallel=2)

    jobs = Counter(assignment.job_id for _ in range(4) for assignment in shed.claim(1))

    assert jobs == {first.pk: 2, second.pk: 2}


def test_a_lot_is_free_again_once_the_result_is_in(alice, shed):
    world.start(alice, 2, max_parallel=1)
    (given,) = shed.claim(5)

    shed.deliver(given)

    assert len(shed.claim(5)) == 1


def test_an_owner_runs_a_task_once_with_however_many_machines(alice, olga, shed, barn):
    twin = world.Machine(olga, price_micro=world.PRICE_MICRO)
    world.start(alice, 3, assurance="quorum-2", max_parallel=8)

    mine = [assignment.task_id for machine in (shed, twin) for assignment in machine.claim(8)]
    theirs = [assignment.task_id for assignment in barn.claim(8)]

    assert len(mine) == len(set(mine)) == 3
    assert sorted(theirs) == sorted(mine)


def test_a_validator_runs_what_its_owner_has_run(alice, olga, shed):
    watch = world.Machine(olga)
    Node.objects.filter(pk=watch.node.pk).update(is_validator=True)
    job = world.start(alice, assurance="quorum-2")
    (first,) = shed.claim()
    capacity.replenish(job_id=job.pk, now=database_now())
    world.tick(alice.cooperative)

    (second,) = watch.claim()

    assert first.task_id == second.task_id
    assert world.attempt(second).owner_key == f"validator:{watch.node.pk}"


def test_a_job_without_a_lease_on_the_node_gives_it_nothing(alice, shed, pete):
    world.start(alice)
    stranger = world.Machine(pete)

    assert stranger.claim() == []


@pytest.mark.parametrize("state", ["ENDING", "CLOSED"])
def test_a_lease_that_ends_gives_nothing(alice, shed, state):
    job = world.start(alice)
    Lease.objects.filter(reference=job.reference).update(state=state, ended_at=database_now())

    assert shed.claim() == []


def test_a_closed_job_gives_nothing(alice, shed):
    job = world.start(alice)
    Job.objects.filter(pk=job.pk).update(closed_at=database_now())

    assert shed.claim() == []


@pytest.mark.parametrize("state", ["DRAINING", "QUARANTINED", "BENCHMARKED"])
def test_a_node_that_does_not_work_is_refused_with_its_state(alice, shed, state):
    world.start(alice)
    Node.objects.filter(pk=shed.node.pk).update(state=state, state_reason="drained_by_owner")

    with pytest.raises(claims.NotWorking, match=state):
        shed.claim()

    assert not Attempt.objects.exists()


def test_every_claim_counts_and_has_a_token_of_its_own(alice, shed, barn):
    world.start(alice, assurance="quorum-2")
    (first,), (second,) = shed.claim(), barn.claim()
    shed.fail(first, messages.ExitReason.SANDBOX_UNAVAILABLE)

    (third,) = shed.claim()

    assert [first.token, second.token, third.token] == [1, 2, 3]
    assert Task.objects.get().claims == 3


def test_a_task_whose_claims_are_used_up_is_not_handed_out(alice, shed):
    world.start(alice)
    Task.objects.update(claims=F("max_claims"))

    assert shed.claim() == []


def test_an_owner_that_failed_a_task_twice_leaves_it_to_others(alice, shed, barn):
    world.start(alice, max_parallel=1)
    for _ in range(2):
        (given,) = shed.claim()
        shed.fail(given, messages.ExitReason.SANDBOX_UNAVAILABLE)

    assert shed.claim() == []
    assert Task.objects.get().state == "OPEN"


def test_alone_it_may_try_as_often_as_the_rules_allow(alice, shed):
    world.start(alice)

    for _ in range(5):  # one execution and four spare claims
        (given,) = shed.claim()
        shed.fail(given, messages.ExitReason.SANDBOX_UNAVAILABLE)

    assert shed.claim() == []
    assert (Task.objects.get().state, Task.objects.get().reason) == ("FAILED", "attempts_exhausted")


def test_probation_adds_a_checked_execution(alice, pete, shed):
    novice = world.Machine(pete, trusted=False, price_micro=world.PRICE_MICRO - 1)
    job = world.start(alice, 2, max_parallel=1)

    (given,) = novice.claim(5)

    task = world.attempt(given).task
    other = job.tasks.exclude(pk=task.pk).get()
    assert (task.wanted_results, task.open_executions, task.bought_left, task.max_claims) == (2, 1, 0, 6)
    assert world.attempt(given).purpose == "BOUGHT"
    assert (other.wanted_results, other.open_executions) == (1, 1)


def test_the_second_execution_of_a_probation_check_is_not_bought(alice, olga, pete):
    first, second = world.Machine(olga, trusted=False), world.Machine(pete, trusted=False)
    job = world.start(alice, max_parallel=2)
    (given,) = first.claim()
    _lease_also(job, second)

    (check,) = second.claim()

    assert (world.attempt(given).purpose, world.attempt(check).purpose) == ("BOUGHT", "PROBATION")
    assert Task.objects.get().wanted_results == 2


def test_a_quorum_already_checks_a_node_on_probation(alice, olga, pete):
    first, second = world.Machine(olga, trusted=False), world.Machine(pete, trusted=False)
    world.start(alice, assurance="quorum-2")

    purposes = {world.attempt(machine.claim()[0]).purpose for machine in (first, second)}

    assert purposes == {"BOUGHT"}
    assert Task.objects.get().wanted_results == 2


def _owe(cooperative, micro):
    """The assurance fund owes so much."""
    prefix = f"coop:{cooperative.pk}"
    entries = [Entry(f"{prefix}:assurance", -micro), Entry(f"{prefix}:treasury", micro)]
    ledger.transfer(key="an earlier check", kind="settlement", entries=entries)


def _lease_also(job, machine):
    """A lease of one lot of this very machine for the job."""
    from marketplace.core.fit import Needs

    needs = Needs(runner="python", node_ids=frozenset({str(machine.node.pk)}))
    market.place_order(
        book=market.book_for(job.cooperative),
        side="BUY",
        placed_by=job.submitter,
        price_micro=job.limit_price_micro,
        lots=1,
        needs=needs,
        reference=job.reference,
    )
    world.tick(job.cooperative)


def test_a_fund_that_may_not_owe_more_buys_no_check(alice, olga, pete, cooperative):
    novice, _ = world.Machine(olga, trusted=False), world.Machine(pete, trusted=False)
    world.start(alice, max_parallel=1)
    _owe(cooperative, 1_000_000_000)

    assert novice.claim() == []


def test_such_a_fund_keeps_no_quorum_from_running(alice, olga, pete, cooperative):
    novice, _ = world.Machine(olga, trusted=False), world.Machine(pete, trusted=False)
    world.start(alice, assurance="quorum-2")
    _owe(cooperative, 1_000_000_000)

    assert len(novice.claim()) == 1


def test_nobody_left_to_check_a_novice_means_no_unchecked_task_for_it(alice, olga, pete):
    novice, other = world.Machine(olga, trusted=False), world.Machine(pete, trusted=False, offers=False)
    world.start(alice)
    other.go_dark()

    assert novice.claim() == []
    assert Task.objects.get().wanted_results == 1


def test_tie_breaks_are_handed_out_before_all_else(alice, shed, barn, loft):
    job = world.start(alice, 6, assurance="quorum-2", max_parallel=12)
    while given := barn.claim(4):
        for assignment in given:
            barn.deliver(assignment, b"1")
    wanted = []
    for assignment in shed.claim(2):
        shed.deliver(assignment, b"2")
        wanted.append(assignment.task_id)
    world.verify_all(job)
    for _ in range(4):
        _lease_also(job, loft)

    given = loft.claim(4)

    assert sorted(assignment.task_id for assignment in given[:2]) == sorted(wanted)
    assert [world.attempt(assignment).purpose for assignment in given] == ["TIE_BREAK"] * 2 + ["BOUGHT"] * 2


def test_has_work_for_is_true_only_where_a_claim_finds_something(alice, shed, barn):
    world.start(alice, assurance="quorum-2")
    assert queries.has_work_for(shed.node)

    shed.claim()

    assert not queries.has_work_for(shed.node)
    assert queries.has_work_for(barn.node)
    barn.claim()
    assert not queries.has_work_for(barn.node)


def test_the_owners_own_job_runs_on_unsold_lots_for_nothing(bob, olga, shed):
    world.credit(bob, olga)
    job = world.start(olga, 2, assurance="quorum-3")

    given = shed.claim(4)

    assert [world.attempt(a).purpose for a in given] == ["OWN", "OWN"]
    assert {(world.attempt(a).price_micro, world.attempt(a).lease_id) for a in given} == {(0, None)}
    assert set(job.tasks.values_list("wanted_results", "open_executions")) == {(1, 0)}


def test_an_own_task_that_was_lost_is_run_again_by_its_owner(bob, olga, shed):
    world.credit(bob, olga)
    world.start(olga)
    (given,) = shed.claim()
    shed.fail(given, messages.ExitReason.LOST)

    (again,) = shed.claim()

    assert (again.token, world.attempt(again).purpose) == (2, "OWN")


@pytest.mark.parametrize("many", [2, 8])
def test_a_claim_asks_as_many_questions_for_eight_tasks_as_for_two(alice, olga, many, django_assert_max_num_queries):
    machine = world.Machine(olga)
    Node.objects.filter(pk=machine.node.pk).update(sellable_lots=8)
    world.start(alice, many, max_parallel=4)

    with django_assert_max_num_queries(21):
        assert len(machine.claim(many)) == min(many, 4)


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("most", [1, 10])
def test_a_claim_reads_as_many_tasks_as_it_hands_out(alice, shed, analysed, most):
    """Whatever the statistics say of a job that has just come, and whatever its owner has done before."""
    job = world.start(alice, 1, max_parallel=1)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"job": job.pk, "tasks": 4000})
        cursor.execute(_HISTORY, {"job": job.pk, "lease": Lease.objects.get(reference=job.reference).pk})
        if analysed:
            cursor.execute("ANALYZE scheduler_task, scheduler_attempt")
        with CaptureQueriesContext(connection) as asked:
            assert len(shed.claim()) == 1
        (statement,) = [query["sql"] for query in asked if "INSERT INTO scheduler_attempt" in query["sql"]]
        statement = re.sub(r"LIMIT 1\b", f"LIMIT {most}", statement)
        cursor.execute(claims.FOLLOW_THE_INDEX)
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        ((plan,),) = cursor.fetchall()

    read = [int(node["Actual Rows"] * node["Actual Loops"]) for node in _nodes_of(plan[0]["Plan"])]
    assert most <= max(read) <= 3 * most


_FILL = """
INSERT INTO scheduler_task (job_id, index, input_id, input_name, state, reason, wanted_results, tie_breaks,
  open_executions, bought_left, claims, max_claims)
SELECT job_id, index + number, input_id, input_name, 'OPEN', '', 1, 0, 1, 1, 0, 5
FROM scheduler_task, generate_series(1, %(tasks)s) AS number WHERE job_id = %(job)s
"""
_HISTORY = """
WITH done AS (
  UPDATE scheduler_task SET open_executions = 0, claims = 1 WHERE job_id = %(job)s AND index BETWEEN 1 AND 2000
  RETURNING id)
INSERT INTO scheduler_attempt (task_id, lease_id, node_id, owner_key, token, purpose, state, reason, detail,
  price_micro, lot_milli, progress_permille, reported_log_tail, result_digest, receipt, receipt_signature,
  deadline_at, submitted_at, metered_ms)
SELECT done.id, lease.id, lease.node_id, 'user:' || member.user_id, 1, 'BOUGHT', 'SUBMITTED', '', '', 1, 1000, 0, '',
  'sha256:', '{}', '', now(), now(), 1
FROM done, marketplace_lease AS lease JOIN nodes_node AS node ON node.id = lease.node_id
  JOIN accounts_membership AS member ON member.id = node.operator_id
WHERE lease.id = %(lease)s
"""


def _nodes_of(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes_of(below)
