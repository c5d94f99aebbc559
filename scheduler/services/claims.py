"""Handing out tasks: what a node's agent gets when it asks for work."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, Q

from accounts import queries as accounts
from common import errors, locks
from common.words import said as _
from ledger import queries as ledger
from marketplace.models import Lease
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid.messages import BlobRef, JobSpec, Runner, TaskAssignment, TaskLimits, timestamp
from registry import queries as registry
from scheduler.core import failures
from scheduler.models import Attempt, Job
from scheduler.services import own_nodes, timeline
from scheduler.services.results import OUTPUT_FILES, output_limit_bytes

TRANSFER_GRACE_SECONDS = 30
"""Beyond the job's max_seconds, for fetching inputs and uploading outputs. Never billed."""
STDOUT_BYTES = 1024 * 1024
PIDS = 64
CLAIM_TRIES = 3
ANY_NUMBER = 2**31 - 1
_Argument = str | int | float | bool


class NotWorking(errors.Conflict):
    """The node's state does not allow work."""

    code = "node_not_working"
    title = _("This node gets no work in its present state")


@dataclass(frozen=True)
class _Slot:
    """A live lease of the node with room for more work."""

    lease_id: int
    job_id: int
    price_micro: int
    lot_milli: int
    max_seconds: int
    executions: int
    room: int


def claim_work(*, node: Node, max_tasks: int, now: datetime) -> list[TaskAssignment]:
    """Hand out up to `max_tasks` queued tasks of jobs that have a live lease on this node.

    1. The node's own lock: two claims of one node never share a slot of a lease.
    2. For each lease with room, one statement takes tasks from a random point that no node of the
       same owner counts on, and writes the attempts with their fencing tokens and deadlines.
       Tie-breaks come first. It reads as many tasks as it hands out, however many are queued. An owner
       that has failed a task twice leaves it to the others.
    3. Lots that are not sold do the owner's own jobs (services.own_nodes).
    4. A node on probation makes the task want a second owner's result; the assurance fund pays for it.
       Where no other owner is there to check, or the fund may not owe more, it gets no task that lacks a check.

    Two owners may meet on one task between snapshot and lock; the unique constraint refuses one, who tries again.
    Raises: NotWorking.
    """
    for tries_left in reversed(range(CLAIM_TRIES)):
        try:
            return _claim(node=node, max_tasks=max_tasks, now=now)
        except IntegrityError as error:
            if "attempt_one_per_owner" not in str(error) or not tries_left:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def _claim(*, node: Node, max_tasks: int, now: datetime) -> list[TaskAssignment]:
    locks.lock(locks.Space.NODE, [node.pk])
    node.refresh_from_db()
    if node.state not in states.WORKING:
        raise NotWorking(f"the node is {node.state} ({node.state_reason})")
    claimant = _claimant(node, now)
    ids: list[int] = []
    for slot in _slots(node):
        room = min(slot.room, max_tasks - len(ids))
        if room > 0:
            ids += _claim_on(slot, claimant, room)
    attempts = _handed_out(ids)
    attempts += own_nodes.claim(node, max_tasks - len(attempts), grace_seconds=TRANSFER_GRACE_SECONDS, now=now)
    _started(attempts, now)
    jobs = {attempt.task.job_id: attempt.task.job for attempt in attempts}
    requests = {pk: job.request for pk, job in jobs.items()}
    return [_assignment(attempt, requests[attempt.task.job_id]) for attempt in attempts]


def _slots(node: Node) -> list[_Slot]:
    """Live leases with room, those that run least first."""
    leases = (
        Lease.objects.filter(node=node, state=Lease.State.LIVE, reference__startswith="job:")
        .annotate(running=Count("attempts", filter=Q(attempts__state=Attempt.State.RUNNING)))
        .filter(running__lt=F("lots"))
        .select_related("book__resource_class")
        .order_by("running", "pk")
    )
    by_job = {lease.pk: int(lease.reference.removeprefix("job:")) for lease in leases}
    known = Job.objects.filter(closed_at__isnull=True).in_bulk(set(by_job.values()))
    return [
        _Slot(
            lease_id=lease.pk,
            job_id=by_job[lease.pk],
            price_micro=lease.price_micro,
            lot_milli=lease.book.resource_class.lot_milli,
            max_seconds=known[by_job[lease.pk]].max_seconds,
            executions=known[by_job[lease.pk]].executions,
            room=lease.lots - lease.running,
        )
        for lease in leases
        if by_job[lease.pk] in known
    ]


FOLLOW_THE_INDEX = "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"
"""The statistics of a job that has just come are those of other jobs: a planner that takes it for small would fetch
and sort all its tasks to find the first few. Until the transaction ends it reads them in the order of their index."""
_CLAIM = """
WITH {spans}, taken AS (
  UPDATE scheduler_task AS task
  SET claims = task.claims + 1,
      bought_left = task.bought_left - (CASE WHEN task.bought_left > 0 THEN 1 ELSE 0 END),
      open_executions = task.open_executions - 1
        + (CASE WHEN %(probation)s AND task.wanted_results < 2 THEN 1 ELSE 0 END),
      max_claims = task.max_claims + (CASE WHEN %(probation)s AND task.wanted_results < 2 THEN 1 ELSE 0 END),
      wanted_results = GREATEST(task.wanted_results, CASE WHEN %(probation)s THEN 2 ELSE 1 END)
  FROM ({picked} LIMIT %(room)s) AS picked WHERE task.id = picked.id
  RETURNING task.id, task.claims, picked.bought_left AS bought_before, task.tie_breaks
)
INSERT INTO scheduler_attempt
  (task_id, lease_id, node_id, owner_key, token, purpose, state, reason, detail, price_micro, lot_milli,
   claimed_at, beat_at, deadline_at, progress_permille, reported_log_tail, result_digest, receipt_signature)
SELECT id, %(lease)s, %(node)s, %(owner)s, claims,
  CASE WHEN bought_before > 0 THEN 'BOUGHT' WHEN tie_breaks > 0 THEN 'TIE_BREAK' ELSE 'PROBATION' END,
  'RUNNING', '', '', %(price)s, %(lot)s, now(), now(), now() + %(seconds)s * interval '1 second', 0, '', '', ''
FROM taken ORDER BY tie_breaks DESC, id
RETURNING id
"""
_PICK = """{name} AS (
  SELECT task.id, task.bought_left
  FROM scheduler_task AS task
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state IN ('RUNNING', 'SUBMITTED', 'ACCEPTED', 'REJECTED')) AS counting,
      count(*) FILTER (WHERE state IN ('FAILED', 'LOST')) AS lost
    FROM scheduler_attempt WHERE task_id = task.id AND owner_key = %(owner)s) AS earlier
  WHERE job_id = %(job)s AND open_executions > 0 AND claims < max_claims
    AND {span}
    AND (%(may_be_checked)s OR wanted_results > 1)
    AND earlier.counting = 0 AND earlier.lost < %(tries)s
  ORDER BY draw LIMIT %(room)s{already}
  FOR UPDATE OF task SKIP LOCKED
)"""
_SPANS = (
    {"name": "ties", "span": "draw < 0", "already": ""},
    {"name": "ahead", "span": "draw >= %(start)s", "already": " - (SELECT count(*) FROM ties)"},
    {
        "name": "behind",
        "span": "draw >= 0 AND draw < %(start)s",
        "already": " - (SELECT count(*) FROM ties) - (SELECT count(*) FROM ahead)",
    },
)
"""The order in which a claim looks through a job's tasks: tie-breaks, then all others from a random point."""
_PICKED = """SELECT id, bought_left FROM ties UNION ALL SELECT id, bought_left FROM ahead
  UNION ALL SELECT id, bought_left FROM behind"""
_STATEMENT = _CLAIM.format(spans=", ".join(_PICK.format(**span) for span in _SPANS), picked=_PICKED)


def _claimant(node: Node, now: datetime) -> dict[str, _Argument]:
    """What every statement of a claim says about the node that makes it."""
    probation = nodes.is_on_probation(node)
    others = _others_are_there(node, now)
    return {
        "node": node.pk,
        "owner": nodes.execution_owner(node),
        "probation": probation,
        "may_be_checked": not probation or (others and fund_may_owe(node.cooperative_id)),
        "tries": failures.TRIES_PER_OWNER if others else ANY_NUMBER,
    }


def _others_are_there(node: Node, now: datetime) -> bool:
    """Whether a node whose results count as another owner's works in the cooperative and was heard of."""
    others = Node.objects.filter(
        cooperative_id=node.cooperative_id,
        state__in=states.WORKING,
        last_seen_at__gte=now - timedelta(seconds=nodes.DARK_SECONDS),
    ).exclude(pk=node.pk)
    if not node.is_validator:
        others = others.filter(Q(is_validator=True) | ~Q(operator__user_id=node.operator.user_id))
    return others.exists()


def _claim_on(slot: _Slot, claimant: Mapping[str, _Argument], room: int) -> list[int]:
    """Ids of the attempts of up to `room` tasks that this slot now does."""
    arguments = {
        **claimant,
        "start": random.SystemRandom().random(),
        "job": slot.job_id,
        "lease": slot.lease_id,
        "price": slot.price_micro,
        "lot": slot.lot_milli,
        "seconds": slot.max_seconds + TRANSFER_GRACE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW_THE_INDEX)
        cursor.execute(_STATEMENT, arguments | {"room": room})
        return [row[0] for row in cursor.fetchall()]


def _handed_out(ids: Sequence[int]) -> list[Attempt]:
    """The attempts with all that an assignment says, in the order of `ids`."""
    found = Attempt.objects.select_related(
        "task__job__model_version__publisher_key", "task__job__bundle", "task__input"
    ).in_bulk(ids)
    return [found[pk] for pk in ids]


def fund_may_owe(cooperative_id: int) -> bool:
    """Whether the assurance fund may take on another check (decision 0003)."""
    _, rules = accounts.current_policy(cooperative_id)
    return ledger.balance(f"coop:{cooperative_id}:assurance") > -rules.assurance_overdraft_micro


def _started(attempts: Sequence[Attempt], now: datetime) -> None:
    jobs_started = {attempt.task.job for attempt in attempts}
    for job in jobs_started:
        if Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(state=Job.State.RUNNING):
            timeline.note(job, "job_started")
        else:
            timeline.changed(job)


def _assignment(attempt: Attempt, spec: JobSpec) -> TaskAssignment:
    job, task = attempt.task.job, attempt.task
    return TaskAssignment(
        attempt_id=attempt.pk,
        token=attempt.token,
        task_id=task.pk,
        job_id=job.pk,
        runner=Runner(job.runner),
        model=registry.model_ref(job.model_version) if job.model_version else None,
        bundle=spec.bundle,
        inputs=(BlobRef(name=task.input_name, digest=task.input.digest, size_bytes=task.input.size_bytes),),
        limits=TaskLimits(
            wall_seconds=spec.max_seconds,
            memory_mib=spec.memory_mib,
            disk_mib=spec.disk_mib,
            output_bytes=output_limit_bytes(attempt),
            output_files=OUTPUT_FILES,
            stdout_bytes=STDOUT_BYTES,
            pids=PIDS,
        ),
        deadline_at=timestamp(attempt.deadline_at),
    )
