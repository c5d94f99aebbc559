"""Content-addressed files on disk: written to a draft, synced, then moved to the name of their digest.

A draft that is not kept leaves nothing. The directory is settings.BLOB_DIR; the table of blobs says
which files count, this module says where their bytes are.
"""

import asyncio
import contextlib
import errno
import hashlib
import io
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from django.conf import settings
from django.http import FileResponse

from common.bodies import BodyTooLarge
from common.errors import AppError
from common.words import said as _
from opengrid import digests
from registry.models import BlobContent

CHUNK_BYTES: Final = 256 * 1024
DRAFT_IDLE_SECONDS: Final = 3600
_DIRECTORY_MODE: Final = 0o700


class BlobMissing(AppError):
    """The table knows the blob, but its file is gone: the store was not restored with the database."""

    code = "blob_missing"
    status = 503
    title = _("The file is not in the store")


class StorageFull(AppError):
    """The disk of the store has no room."""

    code = "storage_full"
    status = 503
    title = _("There is no room for the file at the moment")


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole file that was written and synced, not yet kept."""

    path: Path
    digest: str
    size_bytes: int


def path_of(digest: str) -> Path:
    """Where the bytes of `digest` lie. Raises: ValueError for what is no digest."""
    if not digests.is_digest(digest):
        raise ValueError(f"found {digest[:80]!r}; a digest reads sha256: and 64 hex digits")
    name = digest.removeprefix("sha256:")
    return Path(settings.BLOB_DIR) / "sha256" / name[:2] / name[2:4] / name


@contextlib.contextmanager
def draft(chunks: Iterable[bytes], *, limit_bytes: int) -> Iterator[Draft]:
    """Write `chunks` to a file outside the store's names; it is removed at the end unless kept.

    Raises: BodyTooLarge beyond `limit_bytes`, StorageFull, and whatever `chunks` raises.
    """
    folder = _folder(_drafts())
    with _storage_errors():
        descriptor, name = tempfile.mkstemp(prefix="draft-", dir=folder)
    path = Path(name)
    try:
        with _storage_errors(), open(descriptor, "wb") as file:
            digest, size = _copy(chunks, file, limit_bytes)
        yield Draft(path, digest, size)
    finally:
        path.unlink(missing_ok=True)


def keep(found: Draft) -> None:
    """Move a draft to its digest's name, durably. Twice the same content is no conflict."""
    target = path_of(found.digest)
    with _storage_errors():
        _folder(target.parent)
        os.replace(found.path, target)
        _sync(target.parent)


def open_blob(digest: str) -> BinaryIO:
    """The bytes of `digest`, for reading: its file, or its row if it is a small one. Raises: BlobMissing."""
    try:
        return open(path_of(digest), "rb")
    except FileNotFoundError as error:
        content = BlobContent.objects.filter(blob__digest=digest).values_list("data", flat=True).first()
        if content is None:
            raise BlobMissing(_("%(digest)s has to be uploaded again", digest=digest)) from error
        return io.BytesIO(bytes(content))


def read(digest: str) -> bytes:
    """All bytes of `digest`, for files that are known to be small. Raises: BlobMissing."""
    with open_blob(digest) as file:
        return file.read()


class BlobResponse(FileResponse):
    """A download that no browser interprets; under ASGI the file is read chunk by chunk in a thread.

    Django's own response would read the whole file into memory there.
    """

    block_size = CHUNK_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self)
        while (chunk := await asyncio.to_thread(next, parts, None)) is not None:
            yield chunk


def file_response(digest: str) -> BlobResponse:
    """The answer that streams the bytes of `digest`. Raises: BlobMissing."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{digest}"',
        "Cache-Control": "private, no-transform",
    }
    name = digest.removeprefix("sha256:")
    return BlobResponse(
        open_blob(digest), as_attachment=True, filename=name, content_type="application/octet-stream", headers=headers
    )


def clean_drafts(*, idle_seconds: int = DRAFT_IDLE_SECONDS) -> int:
    """Remove drafts that nobody has written to for `idle_seconds` (their writer died); how many."""
    folder = _drafts()
    if not folder.is_dir():
        return 0
    oldest = time.time() - idle_seconds
    removed = 0
    for path in folder.glob("draft-*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
    return removed


def _copy(chunks: Iterable[bytes], file: BinaryIO, limit_bytes: int) -> tuple[str, int]:
    sha256, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise BodyTooLarge(
                _(
                    "more than %(limit_bytes)s bytes came; at most %(limit_bytes)s are accepted",
                    limit_bytes=limit_bytes,
                ),
                extra={"limit_bytes": limit_bytes},
            )
        sha256.update(chunk)
        file.write(chunk)
    file.flush()
    os.fsync(file.fileno())
    return f"sha256:{sha256.hexdigest()}", size


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(_("nothing was stored; try again later")) from error
        raise


def _drafts() -> Path:
    return Path(settings.BLOB_DIR) / "drafts"


def _folder(path: Path) -> Path:
    """Create `path` and what is missing above it, so that the new names survive a power cut."""
    missing = []
    parent = path
    while not parent.is_dir():
        missing.append(parent)
        parent = parent.parent
    for folder in reversed(missing):
        folder.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        _sync(folder.parent)
    return path


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
