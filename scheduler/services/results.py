"""What an agent reports of a running attempt: progress, output files, and the result with its receipt."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Prefetch
from django.db.models.fields.json import KeyTextTransform

from common import errors, jobs, live
from common.words import said as _
from nodes.models import Node
from opengrid import digests, keys
from opengrid.messages import AttemptBeat, ExitReason, ResultRequest, SignedResult, SmallFile
from registry import services as registry
from registry.models import Blob
from scheduler.models import Attempt, AttemptOutput
from scheduler.services import evidence, timeline

OUTPUT_FILES = 64
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class StaleToken(errors.Conflict):
    """The attempt is no longer this node's to report on."""

    code = "stale_token"
    title = _("This attempt was given to somebody else or has ended")


class WrongReceipt(errors.Invalid):
    """The receipt does not describe this attempt, or its signature is not the node's."""

    code = "wrong_receipt"
    title = _("The receipt does not fit the attempt")


class TooMuchOutput(errors.AppError):
    """The outputs exceed the task's limits."""

    code = "too_much_output"
    status = 413
    title = _("The outputs exceed the limits of the task")


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
    disk_mib = getattr(attempt, "disk_mib", None)  # annotated where the job's long request is not loaded
    return int(attempt.task.job.spec["disk_mib"] if disk_mib is None else disk_mib) * 1024 * 1024


def _check_limits(files: int, size_bytes: int, limit_bytes: int) -> None:
    if files > OUTPUT_FILES or size_bytes > limit_bytes:
        raise TooMuchOutput(
            f"{files} files of {size_bytes} bytes; accepted are {OUTPUT_FILES} files of {limit_bytes} bytes together"
        )


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
    _check_limits(len(outputs), sum(output.blob.size_bytes for output in outputs), output_limit_bytes(attempt))
    return output


_SUBMIT = """
WITH new AS (
  SELECT * FROM unnest(%(ids)s::bigint[], %(tokens)s::bigint[], %(caps)s::bigint[], %(digests)s::text[],
    %(receipts)s::jsonb[], %(signatures)s::text[]) AS new (id, token, cap_ms, digest, receipt, signature)
)
UPDATE scheduler_attempt AS attempt SET state = 'SUBMITTED', submitted_at = now(), result_digest = new.digest,
  receipt = new.receipt, receipt_signature = new.signature, progress_permille = 1000,
  metered_ms = LEAST(new.cap_ms, GREATEST(0, (EXTRACT(EPOCH FROM now() - attempt.claimed_at) * 1000)::bigint))
FROM new WHERE attempt.id = new.id AND attempt.node_id = %(node)s AND attempt.token = new.token
  AND attempt.state = 'RUNNING' AND attempt.deadline_at >= now()
RETURNING attempt.id
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one of several results: the attempt, or why it was refused."""

    attempt: Attempt | None
    refusal: errors.AppError | None = None


@dataclass(frozen=True)
class _Taken:
    """A result that fits its attempt: digests by name of all its outputs, contents of those that came along."""

    attempt: Attempt
    result: SignedResult
    outputs: Mapping[str, str]
    contents: Mapping[str, bytes]


def report_result(*, node: Node, attempt_id: int, request: ResultRequest, now: datetime) -> Attempt:
    """Take in a result: the receipt must be the node's, fit the attempt and list what was uploaded.

    The fencing token is checked in the statement that records the result. The same receipt again is
    answered as before. Raises: StaleToken, WrongReceipt.
    """
    if request.receipt.attempt_id != attempt_id:
        raise WrongReceipt("it names another attempt, task or node")
    result = SignedResult(receipt=request.receipt, signature=request.signature)
    outcome = report_results(node=node, results=[result], now=now)[0]
    if outcome.attempt is None:
        assert outcome.refusal is not None
        raise outcome.refusal
    outcome.attempt.refresh_from_db()
    return outcome.attempt


@transaction.atomic
def report_results(*, node: Node, results: Sequence[SignedResult], now: datetime) -> list[Outcome]:
    """Take in several results, each for itself: one that is refused does not keep the others.

    1. Lock the attempts, in order, and look at what was uploaded for them.
    2. Check each receipt: the node's signature, its attempt, its input, its outputs, within the task's limits.
    3. One statement records all, each under its fencing token; who lost a task cannot deliver it.
    4. Files that came along are stored with it. Evidence, and one hint for the worker.
    """
    attempts = _own_attempts(node, {result.receipt.attempt_id for result in results})
    outcomes: list[Outcome] = []
    taken: dict[int, _Taken] = {}
    for result in results:
        attempt = attempts.get(result.receipt.attempt_id)
        try:
            if attempt is None or attempt.pk in taken:
                raise StaleToken(
                    f"attempt {result.receipt.attempt_id} is not this node's, or came twice in one message"
                )
            _check_signature(node, result)
            if attempt.receipt == result.receipt.document():
                outcomes.append(Outcome(attempt))
                continue
            taken[attempt.pk] = _fitting(attempt, node, result)
            outcomes.append(Outcome(attempt))
        except errors.AppError as refusal:
            outcomes.append(Outcome(None, refusal))
    recorded = _submit(node, list(taken.values()))
    for pk in taken.keys() - recorded:
        stale = StaleToken(f"attempt {pk} with token {taken[pk].result.receipt.token} is not running on this node")
        outcomes = [Outcome(None, stale) if outcome.attempt is taken[pk].attempt else outcome for outcome in outcomes]
    _keep_files([found for pk, found in taken.items() if pk in recorded])
    _announce([found.attempt for pk, found in taken.items() if pk in recorded], now)
    return outcomes


def _own_attempts(node: Node, ids: Iterable[int]) -> dict[int, Attempt]:
    """The node's attempts, locked, with what their checks need; the job's long request stays where it is."""
    found = (
        Attempt.objects.select_related("task__job", "task__input")
        .defer("task__job__spec")
        .annotate(disk_mib=KeyTextTransform("disk_mib", "task__job__spec"))
        .prefetch_related(Prefetch("outputs", AttemptOutput.objects.select_related("blob")))
        .filter(pk__in=ids, node=node)
    )
    return {attempt.pk: attempt for attempt in found.order_by("pk").select_for_update(no_key=True, of=("self",))}


def _check_signature(node: Node, result: SignedResult) -> None:
    try:
        keys.verify_document(node.public_key, keys.RECEIPT, result.receipt.document(), result.signature)
    except keys.BadSignature as error:
        raise WrongReceipt(f"signature: {error}") from error


def _fitting(attempt: Attempt, node: Node, result: SignedResult) -> _Taken:
    """The result if its receipt fits the attempt. Raises: WrongReceipt, TooMuchOutput."""
    receipt = result.receipt
    if (receipt.task_id, receipt.node_id) != (attempt.task_id, node.pk):
        raise WrongReceipt("it names another attempt, task or node")
    if receipt.exit_reason is not ExitReason.OK:
        raise WrongReceipt(f"exit reason {receipt.exit_reason}; a result has ok, a failure is reported as one")
    if attempt.task.input.digest not in receipt.input_digests:
        raise WrongReceipt("it does not name the input of the task")
    present = {output.name: (output.blob.digest, output.blob.size_bytes) for output in attempt.outputs.all()}
    contents = {file.name: _content(file) for file in result.files}
    if len(contents) != len(result.files) or contents.keys() & present.keys():
        raise WrongReceipt("a file came twice")
    present |= {name: (digests.of_bytes(content), len(content)) for name, content in contents.items()}
    listed = {output.name: (output.digest, output.size_bytes) for output in receipt.outputs}
    if not listed or listed.keys() != present.keys() or len(listed) != len(receipt.outputs):
        raise WrongReceipt(f"it lists {sorted(listed)}, uploaded were {sorted(present)}")
    for name, (digest, size_bytes) in listed.items():
        if (digest, size_bytes) != present[name]:
            raise WrongReceipt(f"{name}: other contents were uploaded")
    _check_limits(len(present), sum(size for _, size in present.values()), output_limit_bytes(attempt))
    return _Taken(attempt, result, {name: digest for name, (digest, _) in present.items()}, contents)


def _content(file: SmallFile) -> bytes:
    try:
        return base64.b64decode(file.content, validate=True)
    except ValueError as error:
        raise WrongReceipt(f"{file.name}: {error}; accepted is base64 with padding") from error


def _submit(node: Node, taken: Sequence[_Taken]) -> set[int]:
    """Record results in one statement; ids of the attempts that were still running under their tokens."""
    if not taken:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _SUBMIT,
            {
                "node": node.pk,
                "ids": [found.attempt.pk for found in taken],
                "tokens": [found.result.receipt.token for found in taken],
                "caps": [found.attempt.task.job.max_seconds * 1000 for found in taken],
                "digests": [
                    digests.of_document([list(output) for output in sorted(found.outputs.items())]) for found in taken
                ],
                "receipts": [json.dumps(found.result.receipt.document()) for found in taken],
                "signatures": [found.result.signature for found in taken],
            },
        )
        return {pk for (pk,) in cursor.fetchall()}


def _keep_files(taken: Sequence[_Taken]) -> None:
    """Store what came along and note it as outputs."""
    contents = [content for found in taken for content in found.contents.values()]
    if not contents:
        return
    ids = registry.store_small(contents=contents)
    AttemptOutput.objects.bulk_create(
        [
            AttemptOutput(attempt=found.attempt, name=name, blob_id=ids[found.outputs[name]])
            for found in taken
            for name in sorted(found.contents)
        ]
    )


def _announce(attempts: Sequence[Attempt], now: datetime) -> None:
    if not attempts:
        return
    evidence.record_deliveries(attempts, success=True, reason="delivered", at=now)
    for attempt in attempts:
        attempt.state = Attempt.State.SUBMITTED
    jobs.enqueue_once("scheduler.tasks.verify_ready")
    for job in {attempt.task.job for attempt in attempts}:
        timeline.changed(job)
