"""What an agent reports of a running attempt: progress, output files, and the result with its receipt."""

import json
import re
from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction

from common import errors, jobs, live
from nodes.models import Node
from opengrid import digests, keys
from opengrid.messages import AttemptBeat, ExitReason, ResultRequest
from registry.models import Blob
from scheduler.models import Attempt, AttemptOutput
from scheduler.services import evidence, timeline

OUTPUT_FILES = 64
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class StaleToken(errors.Conflict):
    """The attempt is no longer this node's to report on."""

    code = "stale_token"
    title = "This attempt was given to somebody else or has ended"


class WrongReceipt(errors.Invalid):
    """The receipt does not describe this attempt, or its signature is not the node's."""

    code = "wrong_receipt"
    title = "The receipt does not fit the attempt"


class TooMuchOutput(errors.AppError):
    """The outputs exceed the task's limits."""

    code = "too_much_output"
    status = 413
    title = "The outputs exceed the limits of the task"


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
    evidence.record_delivery(attempt, success=True, reason="delivered", at=now)
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
