"""The form for a new job: the estimate while one types, and the submission."""

import secrets
from typing import Any

import pydantic
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from common import errors
from dashboard import forms
from dashboard.core import quantities
from dashboard.queries import books, jobs
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import viewer_page
from opengrid.messages import BlobRef
from registry import services as registry
from scheduler.core import assurance, metering, sharding
from scheduler.services import jobs as services

EXAMPLE_DIGEST = "sha256:" + 64 * "0"


@never_cache
@require_http_methods(["GET", "POST"])
@viewer_page("jobs.submit")
def new_job(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form; posting it stores the upload and submits the job, once per form however often it is sent."""
    versions = jobs.model_versions(viewer)
    if request.method == "GET":
        form = forms.NewJobForm(initial=_initial(request, viewer), versions=versions)
        return _page(request, form, secrets.token_urlsafe(16))
    form = forms.NewJobForm(request.POST, request.FILES, versions=versions)
    key = request.POST.get("key", "")[:100] or secrets.token_urlsafe(16)
    if form.is_valid():
        try:
            job = services.submit_job(
                membership=viewer.membership, spec=form.spec(_stored(form, viewer)), idempotency_key=key, now=viewer.now
            )
        except pydantic.ValidationError as error:
            form.add_error(None, forms.first_words(error))
        except errors.AppError as error:
            form.add_error(None, _explained(error))
        else:
            messages.success(request, _("Submitted. This page follows it live."))
            return redirect("job", job.pk)
    return _page(request, form, secrets.token_urlsafe(16))


def _page(request: HttpRequest, form: forms.NewJobForm, key: str) -> HttpResponse:
    context = {"form": form, "key": key, "api": request.build_absolute_uri("/api/v1")}
    return render(request, "scheduler/new_job.html", context, status=422 if form.errors else 200)


def _initial(request: HttpRequest, viewer: Viewer) -> dict[str, Any]:
    """A limit that the market can meet now, or the one the person came with."""
    wanted = request.GET.get("limit", "")[:30]
    if wanted:
        return {"limit_price": wanted}
    offers = [books.depth(viewer, book).best_sell_micro for book in books.books(viewer)]
    best = min((offer for offer in offers if offer is not None), default=None)
    return {"limit_price": quantities.price(best * 5 // 4)} if best else {}


def _stored(form: forms.NewJobForm, viewer: Viewer) -> BlobRef:
    upload = form.cleaned_data["input"]
    blob = registry.store_blob(
        chunks=upload.chunks(), limit_bytes=settings.BLOB_MAX_BYTES, membership=viewer.membership
    )
    return BlobRef(name=forms.file_name(upload.name), digest=blob.digest, size_bytes=blob.size_bytes)


def _explained(error: errors.AppError) -> str:
    """A refusal with the constraints that cause it, where it names any."""
    constraints = error.extra.get("constraints")
    if not constraints:
        return f"{error.title}: {error.detail}"
    named = ", ".join(f"{name} ({number})" for name, number in constraints.items())
    return f"{error.title}: {error.detail}. {_('Nodes excluded by')}: {named}"


@require_GET
@viewer_page("jobs.submit")
def estimate(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Tasks, hold and the request as curl, for the form as it stands."""
    form = forms.EstimateForm(request.GET, versions=jobs.model_versions(viewer))
    context: dict[str, Any] = {"form": form, "api": request.build_absolute_uri("/api/v1")}
    if form.is_valid():
        wish = form.cleaned_data
        blob = BlobRef(name=wish["file_name"] or "input.npy", digest=EXAMPLE_DIGEST, size_bytes=wish["size_bytes"] or 0)
        try:
            context["spec"] = forms.job_spec(wish, blob).model_dump_json(indent=2, exclude_defaults=True)
        except pydantic.ValidationError as error:
            form.add_error(None, forms.first_words(error))
        if wish["rows"]:
            context |= _figures(wish)
    return render(request, "scheduler/_estimate.html", context)


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
    second = metering.cost(price_micro=wish["limit_price"], quantity_milli=1000, ms=1000) * executions
    return {
        "tasks": tasks,
        "executions": tasks * executions,
        "held_micro": held,
        "task_second_micro": round(second),
        "royalty_micro": tasks * wish["model_version"].royalty_micro,
    }
