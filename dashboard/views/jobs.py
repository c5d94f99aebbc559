"""Pages of jobs: list, one job, its tasks and receipts, cancel."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common import errors
from dashboard.queries import jobs as reads
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, cursor, viewer_page
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
    found = _job(viewer, job_id)
    context = {"job": found, "may_submit": viewer.may("jobs.submit") and found.model_version_id is not None}
    return render(request, "scheduler/job.html", context)


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
def task(request: HttpRequest, viewer: Viewer, job_id: int, index: int) -> HttpResponse:
    """One task of the strip: its state and who tried it."""
    try:
        found = reads.task(viewer, job_id, index)
    except errors.NotFound as error:
        raise Http404 from error
    return render(request, "scheduler/_task.html", {"task": found})


@require_GET
@viewer_page("jobs.view_own")
def verify(request: HttpRequest, viewer: Viewer, job_id: int, attempt_id: int) -> HttpResponse:
    """A receipt checked by the server, with everything that the browser needs to check it again by itself."""
    try:
        checked = reads.check_receipt(viewer, job_id, attempt_id)
    except errors.NotFound as error:
        raise Http404 from error
    page = "_receipt" if getattr(request, "htmx", False) else "receipt"
    return render(request, f"scheduler/{page}.html", {"checked": checked, "job_id": job_id})


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
