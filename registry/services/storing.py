"""Storing files: whole and as announced, or not at all."""

from collections.abc import Iterable

from django.db import transaction

from accounts.models import Membership
from common.errors import Invalid
from registry import blobs
from registry.models import Blob, BlobGrant


class DigestMismatch(Invalid):
    """The bytes that came are not those that were announced."""

    code = "digest_mismatch"
    title = "The file does not have the announced digest"


class SizeMismatch(Invalid):
    """The file is longer or shorter than announced."""

    code = "size_mismatch"
    title = "The file does not have the announced size"


def store_blob(
    *,
    chunks: Iterable[bytes],
    limit_bytes: int,
    membership: Membership | None = None,
    expected_digest: str | None = None,
    expected_size: int | None = None,
) -> Blob:
    """Store a stream of bytes under its digest and let `membership` use it.

    The stream is read outside the transaction; the file and its row appear together. The same
    content again is no conflict. Raises: bodies.BodyTooLarge, DigestMismatch, SizeMismatch,
    blobs.StorageFull, and whatever `chunks` raises; then nothing is stored.
    """
    with blobs.draft(chunks, limit_bytes=limit_bytes) as draft:
        if expected_size is not None and draft.size_bytes != expected_size:
            raise SizeMismatch(f"found {draft.size_bytes} bytes; {expected_size} were announced")
        if expected_digest is not None and draft.digest != expected_digest:
            raise DigestMismatch(f"found {draft.digest}; {expected_digest[:71]} was announced")
        return _record(draft, membership)


@transaction.atomic
def grant_blob(*, blob: Blob, membership: Membership) -> None:
    """Let a member use a blob that came about otherwise, such as a job's result."""
    BlobGrant.objects.get_or_create(blob=blob, membership=membership)


def clean_drafts() -> int:
    """Remove what uploads left whose process died; how many files."""
    return blobs.clean_drafts()


@transaction.atomic
def _record(draft: blobs.Draft, membership: Membership | None) -> Blob:
    blob, _ = Blob.objects.get_or_create(digest=draft.digest, defaults={"size_bytes": draft.size_bytes})
    if membership is not None:
        grant_blob(blob=blob, membership=membership)
    blobs.keep(draft)
    return blob
