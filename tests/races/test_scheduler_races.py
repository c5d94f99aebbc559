"""Real processes at the same rows: nothing is handed out, paid, held or given back twice."""

import time
from collections import Counter

import pytest
from django.db import connection, transaction
from django.db.models import Count, Q

from common import locks
from common.clock import database_now
from ledger import queries as ledger
from marketplace.models import Lease
from nodes.models import Node
from reputation.models import Contribution, Evidence
from scheduler import queries
from scheduler.models import Attempt, AttemptOutput, Job, Task
from scheduler.services import jobs
from tests.marketplace import market
from tests.scheduler import world

pytestmark = pytest.mark.django_db(transaction=True)
WHOLE = 1_000_000_000


def document(spec):
    return spec.model_dump(mode="json")


def test_sixteen_submissions_of_one_wallet_hold_no_more_than_it_has(alice, machines, race, balances):
    # each job holds 175 credits, so that five fit into a thousand
    spec = world.a_spec(alice, 1, limit_price_micro=63_000_000_000)
    acts = [("submit", {"member": alice.pk, "specs": [document(spec)] * 2})] * 8

    found = Counter(code for codes in race(*acts) for code in codes)

    assert found.pop("insufficient_funds") == 11
    assert set(found.values()) == {1}
    held = ledger.balances([job.hold_address for job in Job.objects.all()])
    assert list(held.values()) == [175_000_000] * 5
    assert balances(alice.wallet) == [WHOLE - 5 * 175_000_000]


def test_one_key_from_eight_processes_is_one_job(alice, machines, race, balances):
    spec = document(world.a_spec(alice))

    found = race(*[("submit", {"member": alice.pk, "specs": [spec], "key": "mine"})] * 8)

    job = Job.objects.get()
    assert found == [[job.pk]] * 8
    assert balances(alice.wallet) == [WHOLE - job.held_micro]


def test_eight_contents_under_one_key_are_one_job_and_seven_refusals(alice, machines, race):
    specs = [document(world.a_spec(alice)) for _ in range(8)]

    found = race(*(("submit", {"member": alice.pk, "specs": [spec], "key": "mine"}) for spec in specs))

    assert sum(answer == ["idempotency_key_reused"] for answer in found) == 7
    assert Job.objects.count() == 1


def fleet(operators, per_operator, lots):
    return [market.a_node(operator, lots=lots) for operator in operators for _ in range(per_operator)]


def start(alice, nodes, tasks, **changes):
    for node in nodes:
        market.offer(node, node.sellable_lots, world.PRICE_MICRO)
    return world.start(alice, tasks, **changes)


def test_two_nodes_of_one_owner_at_one_task_get_it_once(alice, operators, race):
    nodes = fleet(operators[:2], 2, 1)
    start(alice, nodes, 1, max_parallel=4, assurance="quorum-2")
    _lease_everywhere(alice, nodes)

    claims = [("claim", {"node": node.pk, "most": 1}) for node in nodes]
    race(*claims)
    race(*claims)  # whoever met a locked task finds it at the next poll

    assert sorted(Attempt.objects.values_list("owner_key", flat=True)) == sorted(
        f"user:{operator.user_id}" for operator in operators[:2]
    )


def _lease_everywhere(alice, nodes):
    """A lot of each node for the only job, whatever the order bought."""
    job = Job.objects.get()
    for node in nodes:
        if not Lease.objects.filter(node=node).exists():
            needs = market.Needs(runner="python", node_ids=frozenset({str(node.pk)}))
            market.buy(alice, 1, world.PRICE_MICRO, reference=job.reference, needs=needs)
    world.tick(alice.cooperative)
    assert Lease.objects.values("node").distinct().count() == len(nodes)


@pytest.mark.parametrize("most", [1, 5])
def test_eight_nodes_at_forty_tasks_hand_out_each_execution_once(alice, operators, race, most):
    nodes = fleet(operators, 2, 30)
    job = start(alice, nodes, 40, max_parallel=160, assurance="quorum-3")
    _lease_everywhere(alice, nodes)

    claims = [("claim", {"node": node.pk, "most": most}) for node in nodes]
    claimed = [*race(*claims), *race(*claims)]  # whoever met locked tasks finds them at the next poll

    assert sum(map(len, claimed)) == Attempt.objects.count() == 120
    tasks = Task.objects.filter(job=job).annotate(owners=Count("attempts__owner_key", distinct=True))
    assert {(task.claims, task.owners, task.open_executions, task.bought_left) for task in tasks} == {(3, 3, 0, 0)}
    running = Lease.objects.annotate(running=Count("attempts", filter=Q(attempts__state="RUNNING")))
    assert all(lease.running <= lease.lots for lease in running)
    assert Attempt.objects.values("task", "token").distinct().count() == 120


def test_a_node_that_claims_twice_at_once_never_shares_a_slot(alice, operators, race):
    (node,) = fleet(operators[:1], 1, 3)
    start(alice, [node], 20, max_parallel=3)

    claimed = race(*[("claim_once", {"node": node.pk, "most": 3})] * 8)

    assert sum(map(len, claimed)) == Attempt.objects.count() == 3


def test_eight_verdicts_at_once_pay_once(alice, machines, race, balances):
    job = world.start(alice, 4, assurance="quorum-2", max_parallel=8)
    for machine in machines[:2]:
        for given in machine.claim(8):
            machine.deliver(given)
    ids = list(Task.objects.values_list("pk", flat=True))

    found = race(*[("verify_each", {"task_ids": ids[shift % 4 :] + ids[: shift % 4]}) for shift in range(8)])

    assert sum(ended for ends in found for ended in ends) == 4
    by_hand = sum(2 * min(task.attempts.values_list("metered_ms", flat=True)) for task in job.tasks.all())
    bill = queries.bill(job)
    assert bill.compute_micro == by_hand  # a micro-credit for each millisecond
    assert balances(job.hold_address) == [job.held_micro - by_hand]
    assert balances(machines[0].node.operator.wallet) == balances(machines[1].node.operator.wallet)
    assert Contribution.objects.filter(kind="COMPUTE").count() == 8
    assert Evidence.objects.filter(dimension="correctness").count() == 8
    assert set(Node.objects.filter(state="ACTIVE").values_list("validated_in_a_row", flat=True)) == {10, 14}


def test_eight_verdicts_on_a_tie_ask_for_one_more_execution(alice, machines, race):
    job = world.start(alice, assurance="quorum-2")
    for machine, answer in zip(machines, (b"1", b"2"), strict=False):
        (given,) = machine.claim()
        machine.deliver(given, answer)
    world.tick(alice.cooperative)

    race(*[("verify", {"task": Task.objects.get().pk})] * 8)

    task = Task.objects.get()
    assert (task.tie_breaks, task.wanted_results, task.open_executions) == (1, 3, 1)
    assert sum(order.lots for order in world.orders(job)) == 3


def test_results_and_the_reaper_at_once_leave_each_attempt_with_one_of_them(alice, machines, race):
    shed = machines[0]
    world.start(alice, 4, max_parallel=4)
    given = shed.claim(4)
    requests = {}
    for assignment in given:
        outputs = shed.upload(assignment, {"answer.txt": b"42"})
        requests[assignment.attempt_id] = shed.signed(shed.receipt(assignment, outputs)).model_dump_json()
    Attempt.objects.update(beat_at=database_now() - world.timedelta(seconds=31))

    found = race(
        *(("report", {"node": shed.node.pk, "attempt": pk, "request": text}) for pk, text in requests.items()),
        *[("reap", {"times": 3})] * 4,
    )

    states = Counter(Attempt.objects.values_list("state", flat=True))
    assert states["SUBMITTED"] + states["LOST"] == 4
    assert states["SUBMITTED"] == found[:4].count("SUBMITTED")
    assert states["LOST"] == sum(found[4:]) == found[:4].count("stale_token")
    for row in Attempt.objects.select_related("task"):
        assert row.task.open_executions == (1 if row.state == "LOST" else 0)
        assert (row.metered_ms is None) == (row.state == "LOST")


def test_finishing_and_judging_at_once_gives_the_hold_back_once(alice, machines, race, balances):
    job = world.start(alice, 4, max_parallel=4)
    for given in machines[0].claim(4):
        machines[0].deliver(given)
    ids = list(Task.objects.values_list("pk", flat=True))

    race(
        *(("verify", {"task": pk}) for pk in ids),
        *[("finish", {"job": job.pk})] * 4,
    )
    race(*[("finish", {"job": job.pk})] * 8)

    job.refresh_from_db()
    by_hand = sum(Attempt.objects.values_list("metered_ms", flat=True))
    assert (job.state, balances(job.hold_address, alice.wallet)) == ("DONE", [0, WHOLE - by_hand])
    assert world.reasons(job).count("job_done") == 1


def test_a_cancel_and_claims_at_once_leave_no_task_both_cancelled_and_running(alice, operators, race, balances):
    nodes = fleet(operators[:3], 2, 20)
    job = start(alice, nodes, 30, max_parallel=60, assurance="quorum-2")
    _lease_everywhere(alice, nodes)

    race(("cancel", {"job": job.pk}), *(("claim", {"node": node.pk, "most": 2}) for node in nodes))

    assert not Task.objects.filter(state="CANCELLED", attempts__state="RUNNING").exists()
    assert not Task.objects.filter(state="CANCELLED", claims__gt=0).exists()
    race(*[("finish", {"job": job.pk})] * 2)
    assert not Task.objects.filter(state="OPEN", claims=0).exists()


def test_a_cancel_does_not_wait_for_a_task_that_changes_hands(alice, machines, race):
    """Who has locked a task may want the job's row next: to wait for it under the job's lock would be a deadlock."""
    job = world.start(alice, 3)
    with transaction.atomic():
        taken = Task.objects.select_for_update().filter(job=job).first()

        assert race(("cancel", {"job": job.pk})) == ["CANCELLED"]

    taken.refresh_from_db()
    assert taken.state == "OPEN"
    assert Task.objects.filter(job=job, state="CANCELLED").count() == 2
    assert race(("finish", {"job": job.pk})) == [True]


def test_who_holds_a_job_keeps_nobody_from_noting_its_steps(alice, machines, race):
    job = world.start(alice, 1)
    (given,) = machines[0].claim()
    world.expire(given)
    with transaction.atomic():
        jobs._locked(job.pk)

        assert race(("reap", {})) == [1]

    assert world.reasons(job)[-1] == "attempt_lost"


def test_an_upload_waits_for_the_result_that_is_being_taken_in(alice, machines, begin):
    """Both look at the same attempt; whichever comes second sees what the first one did."""
    shed = machines[0]
    world.start(alice, 1)
    (given,) = shed.claim()
    outputs = shed.upload(given, {"answer.txt": b"42"})
    request = shed.signed(shed.receipt(given, outputs))
    with transaction.atomic():
        shed.report(given, request)
        late = begin(("upload", {"node": shed.node.pk, "attempt": given.attempt_id, "token": given.token}))
        _wait_until_somebody_waits()

    assert late.results() == ["stale_token"]
    assert AttemptOutput.objects.get().blob.size_bytes == 2


def _wait_until_somebody_waits():
    deadline = time.monotonic() + 20
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waited")


def test_eight_cancels_are_one(alice, machines, race, balances):
    job = world.start(alice, 3)

    found = race(*[("cancel", {"job": job.pk})] * 8)

    assert Counter(found) == {"CANCELLED": 1, "job_already_finished": 7}
    assert balances(alice.wallet) == [WHOLE]


def test_eight_replenishers_buy_what_lacks_once(alice, machines, race):
    job = world.start(alice, 4, max_parallel=4)
    Lease.objects.update(state="ENDING", ended_at=database_now())

    race(*[("replenish", {"job": job.pk})] * 8)

    assert [order.lots for order in world.orders(job)] == [4, 4]


def test_eight_expansions_cut_the_job_once(alice, machines, race):
    job = world.submit(alice, 5)

    whole = race(*[("expand", {"job": job.pk})] * 8)

    assert sorted(whole) == [False] * 7 + [True]
    assert list(job.tasks.order_by("index").values_list("index", flat=True)) == [0, 1, 2, 3, 4]
    assert len(world.orders(job)) == 1


def test_a_whole_job_among_agents_workers_and_a_matcher_pays_each_task_once(
    alice, machines, begin, store, tmp_path, balances
):
    """Three agents that sometimes fail, two workers, a matcher and a heart that beats, all at once."""
    from marketplace import services as market_services

    job = world.submit(alice, 8, assurance="quorum-2", max_parallel=6)
    stop = tmp_path / "stop"
    agents = []
    for number, machine in enumerate(machines):
        key_file = tmp_path / f"key{number}"
        machine.private.save(key_file)
        agents.append(
            (
                "toil",
                {
                    "node": machine.node.pk,
                    "key_file": str(key_file),
                    "blob_dir": str(store),
                    "job": job.pk,
                    "seconds": 90,
                },
            )
        )
    pool = market_services.pool_of(alice.cooperative)

    running = begin(
        ("match", {"pool": pool.pk, "stop_file": str(stop)}),
        *agents,
        *[("drain", {"job": job.pk, "seconds": 90})] * 2,
        ("heartbeat", {"node": machines[0].node.pk, "times": 100}),
    )
    for worker in running.running[1:]:
        answer = worker.hear()
        assert "failed" not in answer, answer["failed"]
    stop.touch()
    assert running.running[0].hear()["result"] > 0

    job.refresh_from_db()
    accepted = Attempt.objects.filter(state="ACCEPTED")
    assert job.state == "DONE"
    assert set(job.tasks.values_list("state", flat=True)) == {"ACCEPTED"}
    assert accepted.count() == 16
    by_hand = 0
    for task in job.tasks.prefetch_related("attempts"):
        winners = [attempt for attempt in task.attempts.all() if attempt.state == "ACCEPTED"]
        assert len({attempt.owner_key for attempt in winners}) == 2
        ms = min(attempt.metered_ms for attempt in winners)
        assert {attempt.billed_micro for attempt in winners} == {ms}  # a micro-credit for each millisecond
        assert len(ledger.postings_of(f"task:{task.pk}:settle")) >= 5
        by_hand += 2 * ms
    bill = queries.bill(job)
    assert bill.total_micro == by_hand
    assert balances(alice.wallet, job.hold_address) == [WHOLE - by_hand, 0]


def test_claims_and_results_do_not_wait_for_who_pays_and_is_paid(alice, machines, begin):
    """Somebody settles for the same payer and owner, and takes long: the locks of their money are held meanwhile."""
    job = world.start(alice, 6, max_parallel=6)
    machine = machines[0]
    (given,) = machine.claim()
    reported = machine.signed(machine.receipt(given, machine.upload(given, {"answer.txt": b"42"}))).model_dump_json()

    with transaction.atomic():
        locks.lock(locks.Space.HOLD, [job.hold_address])
        locks.lock(locks.Space.LEDGER_ACCOUNT, [alice.wallet, machine.node.operator.wallet])
        race = begin(
            ("claim_once", {"node": machine.node.pk}),
            ("report", {"node": machine.node.pk, "attempt": given.attempt_id, "request": reported}),
        )
        claimed, state = race.results()

    assert (len(claimed), state) == (1, "SUBMITTED")
