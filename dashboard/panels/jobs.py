"""Panels of the jobs list and of a job's page."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from common import errors
from dashboard.panels.panel import Panel, number
from dashboard.queries import jobs, results
from dashboard.queries.viewer import Viewer
from scheduler import queries as scheduler
from scheduler.models import Job


def _job(viewer: Viewer, key: str) -> Job:
    return viewer.once(("job", key), lambda: scheduler.job_for(viewer.membership, number(key)))


def _list(viewer: Viewer, key: str) -> Mapping[str, Any]:
    if key not in jobs.FILTERS:
        raise errors.NotFound
    rows, after = jobs.listed(viewer, key)
    return {"rows": rows, "after": after, "state_filter": key, "sees_all": viewer.may("jobs.view_all")}


def _state(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    may_cancel = job.finished_at is None and job.submitter_id == viewer.membership.pk
    return {
        "job": job,
        "wait": jobs.wait(job),
        "nodes_running": jobs.nodes_running(job),
        "may_cancel": may_cancel,
    }


def _progress(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    return {"job": job, "progress": jobs.progress(viewer, job)}


def _bill(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    return {"job": job, "bill": scheduler.bill(job), "lines": jobs.bill_lines(job)}


def _attempts(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    attempts, total = jobs.attempts(job)
    return {"job": job, "attempts": attempts, "total": total}


def _outputs(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    outputs, total = results.outputs(job)
    return {"job": job, "outputs": outputs, "total": total}


def _log(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    return {"job": job, "tails": jobs.log_tails(job)}


def _timeline(viewer: Viewer, key: str) -> Mapping[str, Any]:
    job = _job(viewer, key)
    return {"job": job, "steps": jobs.timeline(job)}


def _of_job(_viewer: Viewer, key: str) -> tuple[str, ...]:
    return (f"job.{key}",)


def _of_job_and_market(viewer: Viewer, key: str) -> tuple[str, ...]:
    """The sentence about waiting changes with the offers on the job's book."""
    books = _job(viewer, key).cooperative.pools.values_list("books", flat=True)
    return (f"job.{key}", *(f"market.{book}" for book in books if book))


PANELS = (
    Panel(
        "jobs-list",
        _("Jobs"),
        _list,
        lambda viewer, _key: (f"jobs.{viewer.membership.pk}",),
        app="scheduler",
    ),
    Panel("job-state", _("State"), _state, _of_job_and_market, css="job-state", app="scheduler"),
    Panel("job-progress", _("Progress"), _progress, _of_job, app="scheduler"),
    Panel("job-bill", _("Bill"), _bill, _of_job, app="scheduler"),
    Panel("job-attempts", _("Who ran what"), _attempts, _of_job, app="scheduler"),
    Panel("job-outputs", _("Results"), _outputs, _of_job, app="scheduler"),
    Panel("job-log", _("Log"), _log, _of_job, app="scheduler"),
    Panel("job-timeline", _("Timeline"), _timeline, _of_job, app="scheduler"),
)
