"""Pages of jobs: list, one job, its tasks and receipts, cancel."""

from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.views.decorators.http import require_GET, require_POST

from common import errors
from dashboard.core import sheets
from dashboard.queries import jobs as reads
from dashboard.queries import results
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, cursor, viewer_page
from scheduler import queries as scheduler
from scheduler.models import Job
from scheduler.services import jobs as services

CSV = "text/csv; charset=utf-8"
COLUMNS = ("id", "name", "state", "member", "submitted", "ended", "tasks", "accepted", "not_done", "billed_credits")
TABS = {"all": _l("All"), "open": _l("In flight"), "done": _l("Done"), "failed": _l("Failed or cancelled")}


@require_GET
@viewer_page("jobs.view_own")
def jobs(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Jobs, newest first. Filter and cursor are in the address; the first page is live."""
    state_filter = request.GET.get("state", "all")
    if state_filter not in reads.FILTERS:
        raise Http404
    before, q, is_oldest_first = cursor(request), request.GET.get("q", "").strip()[:100], "oldest" in request.GET
    counts, are_more = reads.counts(viewer)
    context: dict[str, Any] = {
        "state_filter": state_filter,
        "q": q,
        "is_oldest_first": is_oldest_first,
        "tabs": [(name, words, counts[name]) for name, words in TABS.items()],
        "are_more": are_more,
        "may_submit": viewer.may("jobs.submit"),
        "sees_all": viewer.may("jobs.view_all"),
        "is_live": before is None and not q and not is_oldest_first,
    }
    if not context["is_live"]:
        found = reads.listed(viewer, state_filter, before, q=q, is_oldest_first=is_oldest_first)
        context["rows"], context["after"] = found
    return render(request, "scheduler/jobs.html", context)


@require_GET
@viewer_page("jobs.view_own")
def jobs_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The whole list as CSV, filtered as the page is."""
    state_filter = request.GET.get("state", "all")
    if state_filter not in reads.FILTERS:
        raise Http404
    answer = StreamingHttpResponse(_lines(viewer, state_filter, request.GET.get("q", "")[:100]), content_type=CSV)
    answer["Content-Disposition"] = 'attachment; filename="jobs.csv"'
    return answer


def _lines(viewer: Viewer, state_filter: str, q: str) -> Iterator[str]:
    yield sheets.line(COLUMNS)
    for row in reads.exported(viewer, state_filter, q):
        job = row.job
        times = (job.submitted_at.isoformat(), job.finished_at.isoformat() if job.finished_at else "")
        counts = (job.tasks_total, row.accepted, row.failed, sheets.credits(row.billed_micro))
        yield sheets.line((job.pk, job.name, job.state, str(job.submitter.user), *times, *counts))


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
        checked = results.check_receipt(viewer, job_id, attempt_id)
    except errors.NotFound as error:
        raise Http404 from error
    page = "_receipt" if getattr(request, "htmx", False) else "receipt"
    return render(request, f"scheduler/{page}.html", {"checked": checked, "job_id": job_id})


@require_GET
@viewer_page("jobs.view_own")
def receipt(request: HttpRequest, viewer: Viewer, job_id: int, attempt_id: int) -> HttpResponse:
    """A node's signed receipt with what is needed to check it."""
    try:
        return JsonResponse(results.receipt(viewer, job_id, attempt_id), json_dumps_params={"indent": 2})
    except errors.NotFound as error:
        raise Http404 from error


def _job(viewer: Viewer, job_id: int) -> Job:
    try:
        return scheduler.job_for(viewer.membership, job_id)
    except errors.NotFound as error:
        raise Http404 from error
