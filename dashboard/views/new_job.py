"""The form for a new job: the estimate while one types, and the submission."""

import secrets
import shlex
from typing import Any

import pydantic
from django.conf import settings
from django.contrib import messages
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from common import errors, refusals
from dashboard.forms import jobs as forms
from dashboard.queries import books, jobs
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import viewer_page
from opengrid.messages import BlobRef
from registry import services as registry
from scheduler import queries as scheduler
from scheduler.core import assurance, metering, sharding
from scheduler.models import Job
from scheduler.services import jobs as services

EXAMPLE_DIGEST = "sha256:" + 64 * "0"


@never_cache
@require_http_methods(["GET", "POST"])
@viewer_page("jobs.submit")
def new_job(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form; posting it stores the upload and submits the job, once per form however often it is sent."""
    versions = jobs.model_versions(viewer)
    if request.method == "GET":
        again = _again(viewer, request.GET.get("from", ""))
        form = forms.NewJobForm(initial=_initial(request, viewer, again), versions=versions)
        form.fields["input"].required = again is None
        return _page(request, form, secrets.token_urlsafe(16), again)
    again = _again(viewer, request.POST.get("again", ""))
    form = forms.NewJobForm(request.POST, request.FILES, versions=versions)
    form.fields["input"].required = again is None
    key = request.POST.get("key", "")[:100] or secrets.token_urlsafe(16)
    if form.is_valid():
        try:
            job = services.submit_job(
                membership=viewer.membership,
                spec=form.spec(_input(form, viewer, again)),
                idempotency_key=key,
                now=viewer.now,
            )
        except pydantic.ValidationError as error:
            form.add_error(None, forms.first_words(error))
        except errors.AppError as error:
            form.add_error(None, _explained(error))
        else:
            messages.success(request, _("Submitted. This page follows it live."))
            return redirect("job", job.pk)
    return _page(request, form, secrets.token_urlsafe(16), again)


def _page(request: HttpRequest, form: forms.NewJobForm, key: str, again: Job | None) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "key": key}
    if again is not None:
        rows = again.tasks.aggregate(rows=Max("row_stop"))["rows"]
        context |= {"again": again, "again_input": again.request.inputs[0], "again_rows": rows}
    return render(request, "scheduler/new_job.html", context, status=422 if form.errors else 200)


def _initial(request: HttpRequest, viewer: Viewer, again: Job | None) -> dict[str, Any]:
    """What the person came with, what the job that is run again had, and a limit that the market can meet now."""
    wishes = {name: request.GET[name][:30] for name in ("assurance", "max_parallel") if name in request.GET}
    if again is not None:
        wishes = _of_job(again) | wishes
    limit = request.GET.get("limit", "")[:30]
    if limit:
        return wishes | {"limit_price": limit}
    if "limit_price" in wishes:
        return wishes
    offers = [books.depth(viewer, book).best_sell_micro for book in books.books(viewer)]
    best = min((offer for offer in offers if offer is not None), default=None)
    return wishes | ({"limit_price": best * 5 // 4} if best else {})


def _of_job(job: Job) -> dict[str, Any]:
    """The form as it would have read for a job."""
    spec = job.request
    return {
        "name": spec.name,
        "model_version": spec.model_version_id,
        "rows_per_task": spec.rows_per_task,
        "limit_price": spec.limit_price_micro,
        "assurance": spec.assurance,
        "max_seconds": spec.max_seconds,
        "max_parallel": spec.max_parallel,
    }


def _again(viewer: Viewer, number: str) -> Job | None:
    """The job of one array and one model that is to be run again, if it is one that the viewer submitted."""
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    job = scheduler.visible_jobs(viewer.membership).filter(pk=int(number), submitter=viewer.membership).first()
    return job if job and job.model_version_id and len(job.request.inputs) == 1 else None


def _input(form: forms.NewJobForm, viewer: Viewer, again: Job | None) -> BlobRef:
    """The uploaded file, stored; without one the input of the job that is run again."""
    upload = form.cleaned_data["input"]
    if upload is None:
        assert again is not None
        return again.request.inputs[0]
    blob = registry.store_blob(
        chunks=upload.chunks(), limit_bytes=settings.BLOB_MAX_BYTES, membership=viewer.membership
    )
    return BlobRef(name=forms.file_name(upload.name), digest=blob.digest, size_bytes=blob.size_bytes)


def _explained(error: errors.AppError) -> str:
    """A refusal with the constraints that cause it, where it names any."""
    constraints = error.extra.get("constraints")
    if not constraints:
        return refusals.told(error)
    named = ", ".join(f"{name} ({number})" for name, number in constraints.items())
    return f"{refusals.told(error)}. {_('Nodes excluded by')}: {named}"


@require_GET
@viewer_page("jobs.submit")
def estimate(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Tasks, hold and the request as curl, for the form as it stands."""
    form = forms.EstimateForm(request.GET, versions=jobs.model_versions(viewer))
    context: dict[str, Any] = {"form": form, "api": request.build_absolute_uri("/api/v1")}
    if form.is_valid():
        wish = form.cleaned_data
        name = forms.file_name(wish["file_name"] or "input.npy")
        digest = wish["digest"] or EXAMPLE_DIGEST
        blob = BlobRef(name=name, digest=digest, size_bytes=wish["size_bytes"] or 0)
        try:
            spec = forms.job_spec(wish, blob).model_dump_json(indent=2, exclude_defaults=True)
            context |= _commands(context["api"], name, blob, spec)
        except pydantic.ValidationError as error:
            form.add_error(None, forms.first_words(error))
        if wish["rows"]:
            context |= _figures(wish)
    return render(request, "scheduler/_estimate.html", context)


def _commands(api: str, name: str, blob: BlobRef, spec: str) -> dict[str, Any]:
    """The request as curl, to be copied as it stands; the digest is written in as soon as the browser has told it."""
    is_known = blob.digest != EXAMPLE_DIGEST
    digest = shlex.quote(blob.digest) if is_known else f'"sha256:$(sha256sum {shlex.quote(name)} | cut -d" " -f1)"'
    body = shlex.quote(spec)
    if not is_known:
        body = body.replace(EXAMPLE_DIGEST, "'\"$DIGEST\"'").replace('"size_bytes": 0', '"size_bytes": \'"$SIZE"\'')
    lines = [f"DIGEST={digest}"]
    if not is_known:
        lines.append(f"SIZE=$(wc -c < {shlex.quote(name)})")
    lines += [
        "",
        f'curl -X PUT {shlex.quote(api)}/blobs/"$DIGEST" \\',
        '  -H "Authorization: Bearer $TOKEN" \\',
        '  -H "Content-Type: application/octet-stream" \\',
        f"  --data-binary @{shlex.quote(name)}",
        "",
        f"curl -X POST {shlex.quote(api)}/jobs \\",
        '  -H "Authorization: Bearer $TOKEN" \\',
        '  -H "Idempotency-Key: $(uuidgen)" \\',
        '  -H "Content-Type: application/json" \\',
        f"  -d {body}",
    ]
    return {"spec": spec, "curl": "\n".join(lines)}


def _figures(wish: dict[str, Any]) -> dict[str, Any]:
    tasks = sharding.count(wish["rows"], wish["rows_per_task"])
    executions = assurance.executions(wish["assurance"])
    held = metering.worst_case(
        tasks=tasks,
        executions=executions,
        max_seconds=wish["max_seconds"],
        limit_price_micro=wish["limit_price"],
        quantity_milli=1000,
        royalty_micro=wish["model_version"].royalty_micro,
    )
    parallel = min(wish["max_parallel"], tasks * executions)
    second = metering.cost(price_micro=wish["limit_price"], quantity_milli=1000, ms=1000) * executions
    return {
        "tasks": tasks,
        "executions": tasks * executions,
        "held_micro": held,
        "task_second_micro": round(second),
        "longest_seconds": -(-tasks * executions // parallel) * wish["max_seconds"],
        "parallel": parallel,
        "royalty_micro": tasks * wish["model_version"].royalty_micro,
    }
