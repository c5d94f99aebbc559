"""What a job produced, for its member: one file, a preview that nothing is run for, all files at once."""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from io import RawIOBase
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from common import errors
from dashboard.core import preview as previews
from dashboard.queries import results
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import viewer_page
from registry import blobs
from scheduler.models import AttemptOutput


@require_GET
@viewer_page("jobs.view_own")
def output(request: HttpRequest, viewer: Viewer, job_id: int, output_id: int) -> HttpResponseBase:
    """A result file, as a download that no browser runs."""
    file = _file(viewer, job_id, output_id)
    answer = blobs.file_response(file.blob.digest)
    name = f"job-{job_id}-task-{file.attempt.task.index}-{file.name}"
    answer["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return answer


@require_GET
@viewer_page("jobs.view_own")
def preview(request: HttpRequest, viewer: Viewer, job_id: int, output_id: int) -> HttpResponse:
    """The first of a file as a table, a text or an image; by itself, or as a part of the job's page."""
    file = _file(viewer, job_id, output_id)
    with blobs.open_blob(file.blob.digest) as opened:
        shown = previews.of_file(file.name, opened.read(previews.READ_BYTES), file.blob.size_bytes)
    context = {"file": file, "preview": shown, "job_id": job_id}
    page = "_preview" if getattr(request, "htmx", False) else "preview"
    return render(request, f"scheduler/{page}.html", context)


@require_GET
@viewer_page("jobs.view_own")
def image(request: HttpRequest, viewer: Viewer, job_id: int, output_id: int) -> HttpResponse:
    """The bytes of a small image under the type that its first bytes show, for a page of ours to display."""
    file = _file(viewer, job_id, output_id)
    if file.blob.size_bytes > previews.IMAGE_BYTES:
        raise Http404
    body = blobs.read(file.blob.digest)
    kind = previews.image_type(body)
    if kind is None:
        raise Http404
    answer = HttpResponse(body, content_type=kind, headers={"X-Content-Type-Options": "nosniff"})
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


@require_GET
@viewer_page("jobs.view_own")
def archive(request: HttpRequest, viewer: Viewer, job_id: int) -> HttpResponseBase:
    """Every file of the accepted results as one zip, made while it is sent."""
    try:
        files = results.all_outputs(viewer, job_id)
    except errors.NotFound as error:
        raise Http404 from error
    if not files:
        raise Http404
    answer = ZipResponse(_zipped(files), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="job-{job_id}.zip"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _file(viewer: Viewer, job_id: int, output_id: int) -> AttemptOutput:
    try:
        return results.output_file(viewer, job_id, output_id)
    except errors.NotFound as error:
        raise Http404 from error


class ZipResponse(StreamingHttpResponse):
    """Sends what the iterator yields piece by piece also under ASGI, where Django would gather it all first."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            yield part


class _Outbox(RawIOBase):
    """Takes what the zip writes, until it is sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _zipped(files: Sequence[tuple[int, str, str]]) -> Iterator[bytes]:
    """The files as a zip, uncompressed; never more than a chunk of them in memory."""
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w") as zipped:
        for index, name, digest in files:
            with blobs.open_blob(digest) as source, zipped.open(f"task-{index:05d}/{name}", "w") as target:
                while chunk := source.read(blobs.CHUNK_BYTES):
                    target.write(chunk)
                    yield outbox.taken()
            yield outbox.taken()
    yield outbox.taken()
