"""Storing files: whole and as announced, or not at all."""

from collections.abc import Iterable

from django.db import connection, transaction

from accounts.models import Membership
from common.errors import Invalid
from common.words import said as _
from opengrid import digests
from registry import blobs
from registry.models import Blob, BlobGrant


class DigestMismatch(Invalid):
    """The bytes that came are not those that were announced."""

    code = "digest_mismatch"
    title = _("The file does not have the announced digest")


class SizeMismatch(Invalid):
    """The file is longer or shorter than announced."""

    code = "size_mismatch"
    title = _("The file does not have the announced size")


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
            raise SizeMismatch(
                _(
                    "found %(size_bytes)s bytes; %(expected_size)s were announced",
                    size_bytes=draft.size_bytes,
                    expected_size=expected_size,
                )
            )
        if expected_digest is not None and draft.digest != expected_digest:
            raise DigestMismatch(
                _(
                    "found %(digest)s; %(expected_digest)s was announced",
                    digest=draft.digest,
                    expected_digest=expected_digest[:71],
                )
            )
        return _record(draft, membership)


_STORE_SMALL = """
WITH new AS (
  SELECT * FROM unnest(%(digests)s::text[], %(contents)s::bytea[]) AS new (digest, data)
), stored AS (
  INSERT INTO registry_blob (digest, size_bytes) SELECT digest, length(data) FROM new ORDER BY digest
  ON CONFLICT (digest) DO NOTHING RETURNING id, digest
), kept AS (
  INSERT INTO registry_blobcontent (blob_id, data) SELECT stored.id, new.data FROM stored JOIN new USING (digest)
)
SELECT digest, id FROM stored
"""


@transaction.atomic(savepoint=False)
def store_small(*, contents: Iterable[bytes]) -> dict[str, int]:
    """Store small files that came in a message beside their rows; ids by digest.

    A file that is stored already stays as it is. They are inserted in the order of their digests, so that
    two messages cannot wait for each other.
    """
    files = {digests.of_bytes(content): content for content in contents}
    wanted = sorted(files)
    with connection.cursor() as cursor:
        cursor.execute(_STORE_SMALL, {"digests": wanted, "contents": [files[digest] for digest in wanted]})
        ids = dict(cursor.fetchall())
    missing = files.keys() - ids.keys()
    if missing:
        ids |= dict(Blob.objects.filter(digest__in=missing).values_list("digest", "pk"))
    return ids


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
