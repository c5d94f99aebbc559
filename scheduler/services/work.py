"""What a node's agent does: claim tasks, report progress, results and failures; and reaping what it lost."""

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, Q

from accounts import queries as accounts
from common import errors, jobs, live, locks
from ledger import queries as ledger
from marketplace.models import Lease
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid import digests, keys
from opengrid.messages import (
    AttemptBeat,
    BlobRef,
    ExitReason,
    FailureRequest,
    ResultRequest,
    Runner,
    TaskAssignment,
    TaskLimits,
    timestamp,
)
from registry import queries as registry
from registry.models import Blob
from reputation import services as reputation
from reputation.services import NewEvidence
from scheduler.core import failures
from scheduler.models import Attempt, AttemptOutput, Job, Task
from scheduler.services import own_nodes, timeline

TRANSFER_GRACE_SECONDS = 30
"""Beyond the job's max_seconds, for fetching inputs and uploading outputs. Never billed."""
OUTPUT_FILES = 64
STDOUT_BYTES = 1024 * 1024
PIDS = 64
CLAIM_TRIES = 3
ANY_NUMBER = 2**31 - 1
_Argument = str | int | float | bool

logger = logging.getLogger(__name__)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class NotWorking(errors.Conflict):
    """The node's state does not allow work."""

    code = "node_not_working"
    title = "This node gets no work in its present state"


class StaleToken(errors.Conflict):
    """The attempt is no longer this node's to report on."""

    code = "stale_token"
    title = "This attempt was given to somebody else or has ended"


class WrongReceipt(errors.Invalid):
    """The receipt does not describe this attempt, or its signature is not the node's."""

    code = "wrong_receipt"
    title = "The receipt does not fit the attempt"


class NotAFailure(errors.Invalid):
    """The reason says that the execution went well; a result is reported as one."""

    code = "not_a_failure"
    title = "This is not the reason of a failure"


class TooMuchOutput(errors.AppError):
    """The outputs exceed the task's limits."""

    code = "too_much_output"
    status = 413
    title = "The outputs exceed the limits of the task"


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
       Tie-breaks come first. An owner that has failed a task twice leaves it to the others.
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
    return [_assignment(attempt) for attempt in attempts]


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


_CLAIM = """
WITH picked AS (
  SELECT id, bought_left, tie_breaks, wanted_results, claims
  FROM scheduler_task AS task
  WHERE job_id = %(job)s AND open_executions > 0 AND claims < max_claims
    AND {span}
    AND (%(may_be_checked)s OR wanted_results > 1)
    AND NOT EXISTS (
      SELECT 1 FROM scheduler_attempt AS earlier
      WHERE earlier.task_id = task.id AND earlier.owner_key = %(owner)s
        AND earlier.state IN ('RUNNING', 'SUBMITTED', 'ACCEPTED', 'REJECTED'))
    AND (
      SELECT count(*) FROM scheduler_attempt AS earlier
      WHERE earlier.task_id = task.id AND earlier.owner_key = %(owner)s
        AND earlier.state IN ('FAILED', 'LOST')) < %(tries)s
  ORDER BY draw LIMIT %(room)s
  FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE scheduler_task AS task
  SET claims = task.claims + 1,
      bought_left = task.bought_left - (CASE WHEN task.bought_left > 0 THEN 1 ELSE 0 END),
      open_executions = task.open_executions - 1
        + (CASE WHEN %(probation)s AND task.wanted_results < 2 THEN 1 ELSE 0 END),
      max_claims = task.max_claims + (CASE WHEN %(probation)s AND task.wanted_results < 2 THEN 1 ELSE 0 END),
      wanted_results = GREATEST(task.wanted_results, CASE WHEN %(probation)s THEN 2 ELSE 1 END)
  FROM picked WHERE task.id = picked.id
  RETURNING task.id, task.claims, picked.bought_left AS bought_before, task.tie_breaks
)
INSERT INTO scheduler_attempt
  (task_id, lease_id, node_id, owner_key, token, purpose, state, reason, detail, price_micro, lot_milli,
   claimed_at, beat_at, deadline_at, progress_permille, reported_log_tail, result_digest, receipt_signature)
SELECT id, %(lease)s, %(node)s, %(owner)s, claims,
  CASE WHEN bought_before > 0 THEN 'BOUGHT' WHEN tie_breaks > 0 THEN 'TIE_BREAK' ELSE 'PROBATION' END,
  'RUNNING', '', '', %(price)s, %(lot)s, now(), now(), now() + %(seconds)s * interval '1 second', 0, '', '', ''
FROM taken
RETURNING id
"""
_SPANS = ("draw < 0", "draw >= %(start)s", "draw >= 0 AND draw < %(start)s")
"""The order in which a claim looks through a job's tasks: tie-breaks, then all others from a random point."""


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
    ids: list[int] = []
    with connection.cursor() as cursor:
        for span in _SPANS:
            if len(ids) < room:
                cursor.execute(_CLAIM.format(span=span), arguments | {"room": room - len(ids)})
                ids += [row[0] for row in cursor.fetchall()]
    return ids


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


def _assignment(attempt: Attempt) -> TaskAssignment:
    job, task = attempt.task.job, attempt.task
    spec = job.request
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
            output_bytes=spec.disk_mib * 1024 * 1024,
            output_files=OUTPUT_FILES,
            stdout_bytes=STDOUT_BYTES,
            pids=PIDS,
        ),
        deadline_at=timestamp(attempt.deadline_at),
    )


_BEAT = """
WITH mine AS (
  SELECT attempt.id, beat.progress, beat.tail
  FROM scheduler_attempt AS attempt
  JOIN unnest(%(ids)s::bigint[], %(tokens)s::bigint[], %(progress)s::int[], %(tails)s::text[])
    AS beat (id, token, progress, tail) ON beat.id = attempt.id AND beat.token = attempt.token
  WHERE attempt.node_id = %(node)s AND attempt.state = 'RUNNING'
  ORDER BY attempt.id FOR NO KEY UPDATE OF attempt
)
UPDATE scheduler_attempt AS attempt
SET beat_at = now(), progress_permille = mine.progress, reported_log_tail = mine.tail
FROM mine WHERE attempt.id = mine.id
RETURNING attempt.id, (SELECT job_id FROM scheduler_task WHERE id = attempt.task_id)
"""


@transaction.atomic
def record_beats(*, node: Node, beats: Sequence[AttemptBeat]) -> list[int]:
    """Note the progress of running attempts. Returns the ids the node should stop: no longer its own."""
    if not beats:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _BEAT,
            {
                "node": node.pk,
                "ids": [beat.attempt_id for beat in beats],
                "tokens": [beat.token for beat in beats],
                "progress": [beat.progress_permille for beat in beats],
                "tails": [beat.log_tail for beat in beats],
            },
        )
        alive = dict(cursor.fetchall())
    for job_id in sorted(set(alive.values())):
        live.publish(f"job.{job_id}")
    return sorted({beat.attempt_id for beat in beats} - alive.keys())


def attempt_of(*, node: Node, attempt_id: int, token: int) -> Attempt:
    """The running attempt that `token` is for. Raises: StaleToken."""
    attempt = (
        Attempt.objects.select_related("task__job")
        .filter(pk=attempt_id, node=node, token=token, state=Attempt.State.RUNNING)
        .first()
    )
    if attempt is None:
        raise StaleToken(f"attempt {attempt_id} with token {token} is not running on this node")
    return attempt


def output_limit_bytes(attempt: Attempt) -> int:
    """How many bytes the outputs of an attempt may have together."""
    limit: int = attempt.task.job.spec["disk_mib"] * 1024 * 1024
    return limit


def output_name(text: str) -> str:
    """A file name as messages allow it. Raises: errors.Invalid."""
    if _FILE_NAME.fullmatch(text) is None:
        raise errors.Invalid(f"found the file name {text[:100]!r}; accepted are letters, digits, '.', '_' and '-'")
    return text


@transaction.atomic
def record_output(*, attempt: Attempt, name: str, blob: Blob) -> AttemptOutput:
    """Note one uploaded output file of a running attempt; uploading a name again replaces it.

    The attempt is locked and looked at again: an upload may have begun before the result that lists other
    contents was taken in. Raises: StaleToken, TooMuchOutput.
    """
    running = Attempt.objects.filter(pk=attempt.pk, token=attempt.token, state=Attempt.State.RUNNING)
    if running.select_for_update(no_key=True).first() is None:
        raise StaleToken(f"attempt {attempt.pk} with token {attempt.token} takes no more outputs")
    output, _ = AttemptOutput.objects.update_or_create(attempt=attempt, name=name, defaults={"blob": blob})
    outputs = AttemptOutput.objects.filter(attempt=attempt).select_related("blob")
    size = sum(output.blob.size_bytes for output in outputs)
    limit = output_limit_bytes(attempt)
    if len(outputs) > OUTPUT_FILES or size > limit:
        raise TooMuchOutput(
            f"{len(outputs)} files of {size} bytes; accepted are {OUTPUT_FILES} files of {limit} bytes together"
        )
    return output


_SUBMIT = """
UPDATE scheduler_attempt SET state = 'SUBMITTED', submitted_at = now(), result_digest = %(digest)s,
  receipt = %(receipt)s, receipt_signature = %(signature)s, progress_permille = 1000,
  metered_ms = LEAST(%(cap)s, GREATEST(0, (EXTRACT(EPOCH FROM now() - claimed_at) * 1000)::bigint))
WHERE id = %(attempt)s AND node_id = %(node)s AND token = %(token)s AND state = 'RUNNING' AND deadline_at >= now()
"""


@transaction.atomic
def report_result(*, node: Node, attempt_id: int, request: ResultRequest, now: datetime) -> Attempt:
    """Take in a result: the receipt must be the node's, fit the attempt and list what was uploaded.

    The fencing token is checked in the statement that records the result. The same receipt again is
    answered as before. Raises: StaleToken, WrongReceipt.
    """
    receipt = request.receipt
    own = Attempt.objects.select_related("task__job", "task__input").filter(pk=attempt_id, node=node)
    attempt = own.select_for_update(no_key=True, of=("self",)).first()
    if attempt is None:
        raise StaleToken(f"attempt {attempt_id} is not this node's")
    try:
        keys.verify_document(node.public_key, keys.RECEIPT, receipt.document(), request.signature)
    except keys.BadSignature as error:
        raise WrongReceipt(f"signature: {error}") from error
    _check_receipt(attempt, node, request)
    if attempt.receipt == receipt.document():
        return attempt
    outputs = sorted((output.name, output.blob.digest) for output in attempt.outputs.select_related("blob"))
    with connection.cursor() as cursor:
        cursor.execute(
            _SUBMIT,
            {
                "digest": digests.of_document([list(output) for output in outputs]),
                "receipt": json.dumps(receipt.document()),
                "signature": request.signature,
                "cap": attempt.task.job.max_seconds * 1000,
                "attempt": attempt.pk,
                "node": node.pk,
                "token": receipt.token,
            },
        )
        if cursor.rowcount != 1:
            raise StaleToken(f"attempt {attempt_id} with token {receipt.token} is not running on this node")
    reputation.record(items=_delivery(attempt, node, success=True, reason="delivered", at=now))
    jobs.enqueue("scheduler.tasks.verify_task", task_id=attempt.task_id)
    timeline.changed(attempt.task.job)
    attempt.refresh_from_db()
    return attempt


def _check_receipt(attempt: Attempt, node: Node, request: ResultRequest) -> None:
    receipt = request.receipt
    if (receipt.attempt_id, receipt.task_id, receipt.node_id) != (attempt.pk, attempt.task_id, node.pk):
        raise WrongReceipt("it names another attempt, task or node")
    if receipt.exit_reason is not ExitReason.OK:
        raise WrongReceipt(f"exit reason {receipt.exit_reason}; a result has ok, a failure is reported as one")
    if attempt.task.input.digest not in receipt.input_digests:
        raise WrongReceipt("it does not name the input of the task")
    uploaded = {output.name: output.blob for output in attempt.outputs.select_related("blob")}
    listed = {output.name: output for output in receipt.outputs}
    if not listed or listed.keys() != uploaded.keys() or len(listed) != len(receipt.outputs):
        raise WrongReceipt(f"it lists {sorted(listed)}, uploaded were {sorted(uploaded)}")
    for name, output in listed.items():
        if (output.digest, output.size_bytes) != (uploaded[name].digest, uploaded[name].size_bytes):
            raise WrongReceipt(f"{name}: other contents were uploaded")


@transaction.atomic
def report_failure(*, node: Node, attempt_id: int, request: FailureRequest, now: datetime) -> Attempt:
    """Take in that an attempt ended without a result; the task is handed out again.

    A reason that the job itself causes, confirmed by a second owner, fails the task.
    Raises: NotAFailure, StaleToken.
    """
    if request.exit_reason is ExitReason.OK:
        raise NotAFailure("found exit reason ok; accepted are all others")
    found = Attempt.objects.filter(pk=attempt_id, node=node).first()
    task = _locked_task(found.task_id) if found else None
    updated = Attempt.objects.filter(pk=attempt_id, node=node, token=request.token, state=Attempt.State.RUNNING).update(
        state=Attempt.State.FAILED, reason=request.exit_reason, detail=request.detail, finished_at=now
    )
    if task is None or not updated:
        raise StaleToken(f"attempt {attempt_id} with token {request.token} is not running on this node")
    attempt = Attempt.objects.get(pk=attempt_id)
    if request.exit_reason not in failures.JOB_CAUSED:
        reputation.record(items=_delivery(attempt, node, success=False, reason=request.exit_reason, at=now))
    _reopen(task, [attempt], now=now)
    return attempt


def reap(*, now: datetime) -> int:
    """Take back what was lost: attempts past their deadline, without heartbeat, or of a node that may not work.

    Each in a transaction of its own; one that fails does not keep the others. Returns how many were taken back.
    Safe to run twice and at once.
    """
    silent = now - timedelta(seconds=nodes.DARK_SECONDS)
    running = Attempt.objects.filter(state=Attempt.State.RUNNING)
    lost = (
        (Q(deadline_at__lt=now), Attempt.State.LOST, "deadline_passed"),
        (Q(beat_at__lt=silent), Attempt.State.LOST, "node_dark"),
        (Q(node__state__in=[states.QUARANTINED, states.RETIRED]), Attempt.State.CANCELLED, "node_stopped"),
    )
    reaped = 0
    for condition, state, reason in lost:
        for attempt_id, task_id in running.filter(condition).order_by("task_id", "pk").values_list("pk", "task_id"):
            try:
                reaped += _take_back(attempt_id, task_id, condition, state, reason, now)
            except Exception:
                logger.exception("attempt %s could not be taken back, the others go on", attempt_id)
    return reaped


@transaction.atomic
def _take_back(attempt_id: int, task_id: int, condition: Q, state: str, reason: str, now: datetime) -> int:
    """Look again under the locks of task and attempt: a result or a heartbeat may have come since it was found."""
    task = _locked_task(task_id)
    running = Attempt.objects.select_related("node").filter(condition, pk=attempt_id, state=Attempt.State.RUNNING)
    attempt = running.select_for_update(no_key=True, of=("self",)).first()
    if attempt is None:
        return 0
    attempt.state, attempt.reason, attempt.finished_at = state, reason, now
    attempt.save(update_fields=["state", "reason", "finished_at"])
    if state == Attempt.State.LOST:
        reputation.record(items=_delivery(attempt, attempt.node, success=False, reason=reason, at=now))
    timeline.note(task.job, "attempt_lost", task_id=task.pk, node=attempt.node_id, why=reason)
    _reopen(task, [attempt], now=now)
    return 1


def _locked_task(task_id: int) -> Task:
    """A task with its job. A task is locked before its attempts and before its job's row."""
    return Task.objects.select_for_update(no_key=True, of=("self",)).select_related("job").get(pk=task_id)


def _reopen(task: Task, ended: Iterable[Attempt], *, now: datetime) -> None:
    """Hand the executions of `ended` out again, or fail the task. The caller has locked it."""
    if task.state != Task.State.OPEN:
        return
    bad = task.attempts.filter(state=Attempt.State.FAILED).values_list("owner_key", "reason")
    reason = failures.confirmed(bad)
    if reason is None and task.claims >= task.max_claims:
        still_out = task.attempts.filter(state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED]).count()
        if still_out < task.wanted_results:
            reason = "attempts_exhausted"
    if reason is not None:
        fail_task(task, reason=reason, now=now)
        return
    if any(attempt.purpose == Attempt.Purpose.OWN for attempt in ended):
        own_nodes.give_back(task)
        wake_nodes_of(task.job)
        timeline.changed(task.job)
        return
    bought = Counter(attempt.purpose for attempt in ended)
    task.open_executions += bought.total()
    task.bought_left += bought[Attempt.Purpose.BOUGHT]
    task.save(update_fields=["open_executions", "bought_left"])
    if task.job.finished_at is not None:  # cancelled meanwhile: it is not handed out again
        jobs.enqueue("scheduler.tasks.finish_job", job_id=task.job_id)
    wake_nodes_of(task.job)
    timeline.changed(task.job)


def fail_task(task: Task, *, reason: str, now: datetime) -> None:
    """End a task without a result: nobody is charged, what still runs or waits is stopped. The caller has locked it."""
    task.attempts.filter(state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED]).update(
        state=Attempt.State.CANCELLED, reason=reason, finished_at=now
    )
    task.state = Task.State.FAILED
    task.reason = reason
    task.open_executions = 0
    task.finished_at = now
    task.save(update_fields=["state", "reason", "open_executions", "finished_at"])
    timeline.note(task.job, "task_failed", task_id=task.pk, why=reason)
    jobs.enqueue("scheduler.tasks.finish_job", job_id=task.job_id)


def wake_nodes_of(job: Job) -> None:
    """Wake the agents that have a live lease for the job."""
    for node_id in Lease.objects.filter(reference=job.reference, state=Lease.State.LIVE).values_list(
        "node_id", flat=True
    ):
        live.wake_node(node_id)


def _delivery(attempt: Attempt, node: Node, *, success: bool, reason: str, at: datetime) -> list[NewEvidence]:
    """Evidence about delivery; none for the owner's own work."""
    if attempt.purpose == Attempt.Purpose.OWN:
        return []
    return [
        NewEvidence(
            node_id=node.pk,
            dimension="delivery",
            success=success,
            reason=reason,
            reference=f"attempt:{attempt.pk}",
            at=at,
        )
    ]
