"""What the processes of a race do. Arguments and results are JSON; ids stand for rows."""

import json
import time
from pathlib import Path

from django.conf import settings

from accounts.models import Membership
from common.clock import database_now
from common.errors import AppError
from marketplace import matcher as matchers
from marketplace import services as market
from marketplace.models import Lease, Order, Pool
from nodes import services as node_services
from nodes.models import Node
from opengrid import keys, messages
from registry.models import Blob
from scheduler import tasks
from scheduler.models import Attempt, Job
from scheduler.services import capacity, claims, endings, jobs, results, verdicts
from tests.marketplace import market as desk
from tests.scheduler import world

QUIET_SECONDS = 0.05


def submit(member, specs, key=None):
    """Submit each of `specs`; ids of the jobs, or the code of the refusal."""
    membership, found = Membership.objects.get(pk=member), []
    for spec in specs:
        try:
            job = jobs.submit_job(
                membership=membership,
                spec=messages.JobSpec.model_validate_json(json.dumps(spec)),
                idempotency_key=key,
                now=database_now(),
            )
            found.append(job.pk)
        except AppError as error:
            found.append(error.code)
    return found


def claim(node, most):
    """Claim until nothing is left; task ids."""
    found = []
    while given := claims.claim_work(node=Node.objects.get(pk=node), max_tasks=most, now=database_now()):
        found += [assignment.task_id for assignment in given]
    return found


def claim_once(node, most=1):
    given = claims.claim_work(node=Node.objects.get(pk=node), max_tasks=most, now=database_now())
    return [assignment.task_id for assignment in given]


def report(node, attempt, request):
    """Report a result; the attempt's state."""
    return results.report_result(
        node=Node.objects.get(pk=node),
        attempt_id=attempt,
        request=messages.ResultRequest.model_validate_json(request),
        now=database_now(),
    ).state


def upload(node, attempt, token):
    """Note another file under the name that the receipt lists; it is stored already."""
    row = Attempt.objects.select_related("task__job").get(pk=attempt, node=node, token=token)
    blob = Blob.objects.exclude(pk__in=row.outputs.values("blob")).first()
    results.record_output(attempt=row, name="answer.txt", blob=blob)
    return "recorded"


def reap(times=1):
    return sum(endings.reap(now=database_now()) for _ in range(times))


def verify(task):
    return verdicts.verify_task(task_id=task, now=database_now())


def verify_each(task_ids):
    return [verify(task) for task in task_ids]


def finish(job):
    return jobs.finish_if_over(job_id=job, now=database_now())


def expand(job):
    return jobs.expand_job(job_id=job, now=database_now())


def cancel(job):
    found = Job.objects.select_related("submitter").get(pk=job)
    return jobs.cancel_job(job=found, by=found.submitter, now=database_now()).state


def replenish(job):
    return capacity.replenish(job_id=job, now=database_now())


def elect(pool):
    """The epoch this process was elected for, or null. The lock stays until it is given back."""
    found = matchers.PoolMatcher.elect(Pool.objects.get(pk=pool))
    return found and found.epoch


def resign(pool):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [matchers.LOCK_CLASS, pool])
        return cursor.fetchone()[0]


def match(pool, stop_file):
    """Be the pool's matcher until the file is there; how many events were applied."""
    matcher = matchers.PoolMatcher.elect(Pool.objects.get(pk=pool))
    assert matcher is not None
    applied = 0
    try:
        while True:
            is_over = Path(stop_file).exists()
            done = matcher.tick()
            applied += done
            if is_over and not done:
                return applied
            if not done:
                time.sleep(QUIET_SECONDS)
    finally:
        resign(pool)


def trade(member, count, reference):
    """Place orders and cancel every other one at once; ids of those cancelled."""
    membership, cancelled = Membership.objects.get(pk=member), []
    for number in range(count):
        order = desk.buy(membership, 1 + number % 3, 10, reference=reference)
        if number % 2:
            try:
                market.cancel_order(order=Order.objects.get(pk=order.pk), by=membership)
                cancelled.append(order.pk)
            except market.OrderClosed:
                pass
        live = Lease.objects.filter(reference=reference, state="LIVE").order_by("?").values_list("pk", flat=True)
        market.end_leases(lease_ids=list(live[:1]), reason="lease_idle", now=database_now())
    return cancelled


def toil(node, key_file, blob_dir, job, seconds):
    """Be an agent: beat, claim, deliver, sometimes fail, until the job has ended; results delivered."""
    settings.BLOB_DIR = Path(blob_dir)
    machine = world.Machine.known(Node.objects.get(pk=node), keys.PrivateKey.load(Path(key_file)))
    delivered, deadline = 0, time.monotonic() + seconds
    while Job.objects.get(pk=job).closed_at is None:
        assert time.monotonic() < deadline, "the job did not end"
        machine.beat()
        given = machine.claim(2)
        for number, assignment in enumerate(given):
            machine.beat(*given[number:])
            if (assignment.attempt_id + node) % 7 == 0 and assignment.token == 1:
                machine.fail(assignment, messages.ExitReason.SANDBOX_UNAVAILABLE)
            else:
                machine.deliver(assignment, b"42", ms=10 + assignment.attempt_id % 50)
                delivered += 1
        if not given:
            time.sleep(QUIET_SECONDS)
    return delivered


def drain(job, seconds):
    """Be a worker: drain and reap until the job has ended; how many rounds."""
    rounds, deadline = 0, time.monotonic() + seconds
    while Job.objects.get(pk=job).closed_at is None:
        assert time.monotonic() < deadline, "the job did not end"
        rounds += 1
        tasks.drain()
        tasks.reap()
    return rounds


def heartbeat(node, times):
    """Beat as fast as it goes."""
    for _ in range(times):
        node_services.record_heartbeat(
            node=Node.objects.get(pk=node),
            request=messages.HeartbeatRequest(slots_free=1, load_permille=0),
            now=database_now(),
        )
    return times
