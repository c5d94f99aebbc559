"""Reads of what a job brought: files of its accepted results, and receipts with what checking them shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.queries.viewer import Viewer, found
from opengrid import digests, keys, npy
from registry import blobs
from scheduler import queries as scheduler
from scheduler.models import Attempt, AttemptOutput, Job

OUTPUT_ROWS = 12
PREVIEW_VALUES = 12
PREVIEW_BYTES = 1 << 20


@dataclass(frozen=True)
class Output:
    """A file that an accepted attempt produced, with the first of its values where they can be read."""

    file: AttemptOutput
    values: list[Any]
    more_values: int


def outputs(job: Job) -> tuple[list[Output], int]:
    """The first files of accepted results, by task, and how many files there are."""
    files = scheduler.accepted_outputs(job)
    return [_output(file) for file in files[:OUTPUT_ROWS]], files.count()


def _output(file: AttemptOutput) -> Output:
    values = _values(file)
    return Output(file=file, values=values[:PREVIEW_VALUES], more_values=max(0, len(values) - PREVIEW_VALUES))


def _values(file: AttemptOutput) -> list[Any]:
    """The labels in a small one-dimensional array of whole numbers; empty for any other file."""
    if not file.name.endswith(".npy") or file.blob.size_bytes > PREVIEW_BYTES:
        return []
    try:
        with blobs.open_blob(file.blob.digest) as opened:
            array = npy.load(opened.read())
    except npy.NpyRefused:
        return []
    return list(array.tolist()) if array.ndim == 1 and array.dtype.kind in "iub" else []


def output_file(viewer: Viewer, job_id: int, output_id: int) -> AttemptOutput:
    """A file of an accepted result of a job that the viewer may see. Raises: errors.NotFound."""
    job = scheduler.job_for(viewer.membership, job_id)
    return found(scheduler.accepted_outputs(job).filter(pk=output_id).first())


def all_outputs(viewer: Viewer, job_id: int) -> list[tuple[int, str, str]]:
    """Task index, name and digest of each file of the accepted results. Raises: errors.NotFound."""
    job = scheduler.job_for(viewer.membership, job_id)
    return list(scheduler.accepted_outputs(job).values_list("attempt__task__index", "name", "blob__digest"))


def receipt(viewer: Viewer, job_id: int, attempt_id: int) -> dict[str, Any]:
    """A signed receipt as anyone can check it: document, digest, signature, key. Raises: errors.NotFound."""
    job = scheduler.job_for(viewer.membership, job_id)
    attempt = found(scheduler.attempts_of(job).filter(pk=attempt_id, receipt__isnull=False).first())
    return _proof(attempt)


def _proof(attempt: Attempt) -> dict[str, Any]:
    return {
        "receipt": attempt.receipt,
        "digest": digests.of_document(attempt.receipt),
        "signature": attempt.receipt_signature,
        "public_key": attempt.node.public_key,
    }


@dataclass(frozen=True)
class Checked:
    """What checking a receipt on the server has shown."""

    attempt: Attempt
    proof: Mapping[str, Any]
    is_signed: bool
    """The signature is that of the node's key over these very bytes."""
    is_ours: bool
    """It names this attempt, under the token that was handed out, and the input that was."""
    files: tuple[tuple[str, str, bool], ...]
    """Name, digest in the receipt, and whether the stored file is the one it names."""

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against it."""
        return self.is_signed and self.is_ours and all(matches for _, _, matches in self.files)


def check_receipt(viewer: Viewer, job_id: int, attempt_id: int) -> Checked:
    """Recompute what a receipt claims, from the stored document. Raises: errors.NotFound."""
    job = scheduler.job_for(viewer.membership, job_id)
    rows = scheduler.attempts_of(job).select_related("task__input").filter(pk=attempt_id, receipt__isnull=False)
    attempt = found(rows.first())
    document = attempt.receipt or {}
    stored = dict(attempt.outputs.values_list("name", "blob__digest"))
    named = {output["name"]: output["digest"] for output in document.get("outputs", ())}
    return Checked(
        attempt=attempt,
        proof=_proof(attempt),
        is_signed=_is_signed(attempt),
        is_ours=(document.get("attempt_id"), document.get("token")) == (attempt.pk, attempt.token)
        and attempt.task.input.digest in document.get("input_digests", ()),
        files=tuple((name, digest, stored.get(name) == digest) for name, digest in sorted(named.items())),
    )


def _is_signed(attempt: Attempt) -> bool:
    try:
        keys.verify_document(attempt.node.public_key, keys.RECEIPT, attempt.receipt, attempt.receipt_signature)
    except (keys.BadSignature, keys.BadKey):
        return False
    return True
