"""Pages of jobs: list, one job, its files and receipts, cancel."""

from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common import errors
from dashboard.queries import jobs as reads
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, cursor, viewer_page
from registry import blobs
from scheduler import queries as scheduler
from scheduler.models import Job
from scheduler.services import jobs as services


@require_GET
@viewer_page("jobs.view_own")
def jobs(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Jobs, newest first. Filter and cursor are in the address; the first page is live."""
    state_filter = request.GET.get("state", "all")
    if state_filter not in reads.FILTERS:
        raise Http404
    before = cursor(request)
    context: dict[str, Any] = {
        "state_filter": state_filter,
        "may_submit": viewer.may("jobs.submit"),
        "sees_all": viewer.may("jobs.view_all"),
        "is_first": before is None,
    }
    if before is not None:
        context["rows"], context["after"] = reads.listed(viewer, state_filter, before)
    return render(request, "scheduler/jobs.html", context)


@require_GET
@viewer_page("jobs.view_own")
def job(request: HttpRequest, viewer: Viewer, job_id: int) -> HttpResponse:
    """Everything about one job, live."""
    return render(request, "scheduler/job.html", {"job": _job(viewer, job_id)})


@require_POST
@viewer_page("jobs.submit")
def cancel(request: HttpRequest, viewer: Viewer, job_id: int) -> HttpResponse:
    """Stop a job."""
    found = _job(viewer, job_id)
    return act(
        request,
        lambda: services.cancel_job(job=found, by=viewer.membership, now=viewer.now),
        done=_("The job is cancelled. What was already running is finished and paid."),
        to="job",
        number=job_id,
    )


@require_GET
@viewer_page("jobs.view_own")
def output(request: HttpRequest, viewer: Viewer, job_id: int, output_id: int) -> HttpResponseBase:
    """A result file, as a download that no browser runs."""
    try:
        file = reads.output_file(viewer, job_id, output_id)
    except errors.NotFound as error:
        raise Http404 from error
    name = f"job-{job_id}-task-{file.attempt.task.index}-{file.name}"
    answer = FileResponse(blobs.open_blob(file.blob.digest), as_attachment=True, filename=name)
    answer["Content-Type"] = "application/octet-stream"
    return answer


@require_GET
@viewer_page("jobs.view_own")
def receipt(request: HttpRequest, viewer: Viewer, job_id: int, attempt_id: int) -> HttpResponse:
    """A node's signed receipt with what is needed to check it."""
    try:
        return JsonResponse(reads.receipt(viewer, job_id, attempt_id), json_dumps_params={"indent": 2})
    except errors.NotFound as error:
        raise Http404 from error


def _job(viewer: Viewer, job_id: int) -> Job:
    try:
        return scheduler.job_for(viewer.membership, job_id)
    except errors.NotFound as error:
        raise Http404 from error
