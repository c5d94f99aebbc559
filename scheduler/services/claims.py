"""Handing out tasks: what a node's agent gets when it asks for work."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts import queries as accounts
from common import errors, locks
from common.words import said as _
from ledger import queries as ledger
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid.messages import BlobRef, ModelRef, Runner, TaskAssignment, TaskLimits, timestamp
from scheduler.core import failures
from scheduler.models import Job
from scheduler.services import own_nodes, timeline
from scheduler.services.results import OUTPUT_FILES

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


@dataclass
class _Slot:
    """A live lease of the node with room for more work."""

    lease_id: int
    job_id: int
    price_micro: int
    lot_milli: int
    max_seconds: int
    room: int


@dataclass(frozen=True)
class _HandedOut:
    """An attempt with all that an assignment says; of the job's long request only what is needed."""

    attempt_id: int
    token: int
    deadline_at: datetime
    task_id: int
    input_name: str
    input_digest: str
    input_bytes: int
    job_id: int
    submitter_id: int
    job_state: str
    runner: str
    bundle: str | None
    wall_seconds: int
    memory_mib: int
    disk_mib: int
    version_id: int | None
    manifest: str
    manifest_signature: str
    publisher_key: str


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
    node = Node.objects.select_related("operator", "cooperative").get(pk=node.pk)
    if node.state not in states.WORKING:
        raise NotWorking(f"the node is {node.state} ({node.state_reason})")
    ids = _claim_leased(node, max_tasks, now)
    ids += own_nodes.claim(node, max_tasks - len(ids), grace_seconds=TRANSFER_GRACE_SECONDS, now=now)
    attempts = _handed_out(ids)
    _started(attempts)
    return [_assignment(attempt) for attempt in attempts]


def _claim_leased(node: Node, max_tasks: int, now: datetime) -> list[int]:
    """Ids of the attempts on leases with room. What the owner has failed twice comes last, if nobody else is there."""
    slots = _slots(node)
    if not slots:
        return []
    claimant = _claimant(node, now)
    ids = _fill(slots, claimant, max_tasks)
    if len(ids) < max_tasks and any(slot.room for slot in slots) and not _others_are_there(node, now):
        ids += _fill(slots, {**claimant, "tries": ANY_NUMBER}, max_tasks - len(ids))
    return ids


def _fill(slots: Sequence[_Slot], claimant: Mapping[str, _Argument], most: int) -> list[int]:
    ids: list[int] = []
    for slot in slots:
        room = min(slot.room, most - len(ids))
        if room > 0:
            taken = _claim_on(slot, claimant, room)
            slot.room -= len(taken)
            ids += taken
    return ids


_SLOTS = """
SELECT lease.id, job.id, lease.price_micro, class.lot_milli, job.max_seconds, lease.lots - busy.running
FROM marketplace_lease AS lease
JOIN marketplace_book AS book ON book.id = lease.book_id
JOIN marketplace_resourceclass AS class ON class.id = book.resource_class_id
JOIN scheduler_job AS job ON job.closed_at IS NULL
  AND job.id = CASE WHEN lease.reference LIKE 'job:%%' THEN substr(lease.reference, 5)::bigint END
CROSS JOIN LATERAL (
  SELECT count(*) AS running FROM scheduler_attempt WHERE lease_id = lease.id AND state = 'RUNNING') AS busy
WHERE lease.node_id = %s AND lease.state = 'LIVE' AND busy.running < lease.lots
ORDER BY busy.running, lease.id
"""


def _slots(node: Node) -> list[_Slot]:
    """Live leases with room, those that run least first."""
    with connection.cursor() as cursor:
        cursor.execute(_SLOTS, [node.pk])
        return [_Slot(*row) for row in cursor.fetchall()]


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
    return {
        "node": node.pk,
        "owner": nodes.execution_owner(node),
        "probation": probation,
        "may_be_checked": not probation or (_others_are_there(node, now) and fund_may_owe(node.cooperative_id)),
        "tries": failures.TRIES_PER_OWNER,
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


_HANDED_OUT = """
SELECT attempt.id, attempt.token, attempt.deadline_at, task.id, task.input_name, input.digest, input.size_bytes,
  job.id, job.submitter_id, job.state, job.runner, job.spec->'bundle', (job.spec->>'max_seconds')::int,
  (job.spec->>'memory_mib')::int, (job.spec->>'disk_mib')::int,
  version.id, coalesce(version.manifest, ''), coalesce(version.signature, ''), coalesce(publisher.public_key, '')
FROM scheduler_attempt AS attempt
JOIN scheduler_task AS task ON task.id = attempt.task_id
JOIN registry_blob AS input ON input.id = task.input_id
JOIN scheduler_job AS job ON job.id = task.job_id
LEFT JOIN registry_modelversion AS version ON version.id = job.model_version_id
LEFT JOIN registry_publisherkey AS publisher ON publisher.id = version.publisher_key_id
WHERE attempt.id = ANY(%s) ORDER BY array_position(%s, attempt.id)
"""


def _handed_out(ids: Sequence[int]) -> list[_HandedOut]:
    """The attempts in the order of `ids`."""
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_HANDED_OUT, [list(ids), list(ids)])
        return [_HandedOut(*row) for row in cursor.fetchall()]


def fund_may_owe(cooperative_id: int) -> bool:
    """Whether the assurance fund may take on another check (decision 0003)."""
    _, rules = accounts.current_policy(cooperative_id)
    return ledger.balance(f"coop:{cooperative_id}:assurance") > -rules.assurance_overdraft_micro


def _started(attempts: Sequence[_HandedOut]) -> None:
    for attempt in {attempt.job_id: attempt for attempt in attempts}.values():
        waited = Job.objects.filter(pk=attempt.job_id, state=Job.State.QUEUED)
        if attempt.job_state == Job.State.QUEUED and waited.update(state=Job.State.RUNNING):
            timeline.note(Job.objects.get(pk=attempt.job_id), "job_started")
        else:
            timeline.announce(attempt.job_id, attempt.submitter_id)


def _assignment(attempt: _HandedOut) -> TaskAssignment:
    return TaskAssignment(
        attempt_id=attempt.attempt_id,
        token=attempt.token,
        task_id=attempt.task_id,
        job_id=attempt.job_id,
        runner=Runner(attempt.runner),
        model=_model(attempt),
        bundle=BlobRef.model_validate_json(attempt.bundle) if attempt.bundle not in (None, "null") else None,
        inputs=(BlobRef(name=attempt.input_name, digest=attempt.input_digest, size_bytes=attempt.input_bytes),),
        limits=TaskLimits(
            wall_seconds=attempt.wall_seconds,
            memory_mib=attempt.memory_mib,
            disk_mib=attempt.disk_mib,
            output_bytes=attempt.disk_mib * 1024 * 1024,
            output_files=OUTPUT_FILES,
            stdout_bytes=STDOUT_BYTES,
            pids=PIDS,
        ),
        deadline_at=timestamp(attempt.deadline_at),
    )


def _model(attempt: _HandedOut) -> ModelRef | None:
    """What a node is given of a model: the text as signed, so that it can check everything itself."""
    if attempt.version_id is None:
        return None
    return ModelRef(
        version_id=attempt.version_id,
        manifest=attempt.manifest,
        signature=attempt.manifest_signature,
        publisher_key=attempt.publisher_key,
    )
