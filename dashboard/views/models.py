"""Pages of models: cards, one version, its use, and trying it with one real task."""

import secrets
from typing import Any

import pydantic
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from common import errors, refusals, versions
from dashboard.core import plot, quantities
from dashboard.core import rows as written
from dashboard.forms import jobs as job_forms
from dashboard.forms import models as forms
from dashboard.queries import models as reads
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, viewer_page
from opengrid import npy
from opengrid.manifest import Manifest
from opengrid.messages import BlobRef, JobSpec, Runner
from registry import queries as registry
from registry import services
from registry.models import ModelVersion
from scheduler import queries as scheduler
from scheduler.core import metering
from scheduler.services import jobs

TRY_SECONDS = 30
TRY_ASSURANCE = "none"
TRY_LOT_MILLI = 1000


@require_GET
@viewer_page("cooperative.view")
def models(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The cooperative's models as cards. Search, filter, order and cursor are in the address."""
    asked = request.GET
    sort = asked.get("sort", "name")
    wish = reads.Wish(
        text=asked.get("q", "").strip()[:100],
        task=asked.get("task", "")[:63],
        sort=sort if sort in reads.SORTS else "name",
        mine=asked.get("mine") == "1",
    )
    cards, after = reads.listed(viewer, wish, asked.get("after", ""))
    query = asked.copy()
    query["after"] = after
    context = {
        "cards": cards,
        "wish": wish,
        "next": query.urlencode() if after else "",
        "tasks": reads.tasks(viewer),
        "place": reads.place(viewer),
        "may_publish": viewer.may("models.publish"),
        "is_filtered": bool(wish.text or wish.task or wish.mine or asked.get("after")),
    }
    return render(request, "registry/models.html", context)


@require_GET
@viewer_page("cooperative.view")
def version(request: HttpRequest, viewer: Viewer, version_id: int) -> HttpResponse:
    """One version: what was signed and by whom, what it costs, its use, and a place to try it."""
    return _page(request, viewer, _version(viewer, version_id), job_id=_number(request.GET.get("try", "")))


@never_cache
@require_POST
@viewer_page("jobs.submit")
def attempt(request: HttpRequest, viewer: Viewer, version_id: int) -> HttpResponse:
    """Run the rows that were written as a job of one task; once per form however often it is sent."""
    found = _version(viewer, version_id)
    manifest = registry.manifest_of(found)
    form = forms.TryModelForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            array = form.array(manifest.inputs[0].shape)
            blob = services.store_blob(
                chunks=[npy.dump(array)], limit_bytes=settings.BLOB_MAX_BYTES, membership=viewer.membership
            )
            job = jobs.submit_job(
                membership=viewer.membership,
                spec=_spec(found, BlobRef(name="rows.npy", digest=blob.digest, size_bytes=blob.size_bytes), form),
                idempotency_key=request.POST.get("key", "")[:100] or None,
                now=viewer.now,
            )
        except written.RowsRefused as error:
            form.add_error("file" if form.cleaned_data.get("file") else "rows", refusals.translated(error.args[0]))
        except pydantic.ValidationError as error:
            form.add_error(None, job_forms.first_words(error))
        except errors.AppError as error:
            form.add_error(None, refusals.told(error))
        else:
            return redirect(f"{reverse('model-version', args=[found.pk])}?try={job.pk}#try")
    return _page(request, viewer, found, form=form)


@require_GET
@viewer_page("jobs.submit")
def estimate(request: HttpRequest, viewer: Viewer, version_id: int) -> HttpResponse:
    """What trying would hold, for the limit price as it stands."""
    found = _version(viewer, version_id)
    form = forms.TryModelForm(request.GET)
    form.is_valid()
    return render(request, "registry/_try_price.html", _price(found, form.cleaned_data.get("limit_price")))


@require_POST
@viewer_page("models.publish")
def withdraw(request: HttpRequest, viewer: Viewer, version_id: int) -> HttpResponse:
    """The publisher takes a version out of use for new jobs."""
    found = _version(viewer, version_id)
    return act(
        request,
        lambda: services.withdraw_version(by=viewer.membership, version=found, now=viewer.now),
        done=_("The version is withdrawn: no new job can use it. What was done with it stays readable."),
        to="model-version",
        number=version_id,
    )


@require_POST
@viewer_page("models.publish")
def describe(request: HttpRequest, viewer: Viewer, version_id: int) -> HttpResponse:
    """The publisher says anew what the model does."""
    found = _version(viewer, version_id)
    form = forms.SummaryForm(request.POST)
    if not form.is_valid():
        return _page(request, viewer, found, summary_form=form)
    wanted = form.cleaned_data["summary"]
    try:
        return act(
            request,
            lambda: services.describe_model(by=viewer.membership, model=found.model, summary=wanted, version=form.seen),
            done=_("The card says so now."),
            to="model-version",
            number=version_id,
        )
    except versions.ChangedMeanwhile:
        found = _version(viewer, version_id)
        form.keep(_words_of(found))
        return _page(request, viewer, found, summary_form=form)


def _words_of(found: ModelVersion) -> forms.SummaryForm:
    return forms.SummaryForm(initial={"summary": found.model.summary, "version": found.model.words_version})


def _page(
    request: HttpRequest,
    viewer: Viewer,
    found: ModelVersion,
    *,
    form: forms.TryModelForm | None = None,
    summary_form: forms.SummaryForm | None = None,
    job_id: int | None = None,
) -> HttpResponse:
    manifest = registry.manifest_of(found)
    refusal = reads.refusal(manifest)
    is_usable = found.withdrawn_at is None and found.publisher_key.revoked_at is None
    place = reads.place(viewer)
    may_try = is_usable and refusal is None and viewer.may("jobs.submit")
    if form is None and may_try:
        form = forms.TryModelForm(initial=_initial(place, manifest))
    context: dict[str, Any] = {
        "version": found,
        "manifest": manifest,
        "refusal": refusal,
        "is_usable": is_usable,
        "is_mine": found.model.publisher_id == viewer.membership.pk,
        "place": place,
        "versions": reads.versions(found.model),
        "form": form if may_try else None,
        "key": secrets.token_urlsafe(16),
        "row_words": _row_words(manifest),
        "job": _tried(viewer, found, job_id),
        "fingerprint": quantities.fingerprint(found.publisher_key.public_key),
    }
    if form is not None and may_try:
        context |= _price(found, _limit(form))
    if context["is_mine"]:
        context["summary_form"] = summary_form or _words_of(found)
    if reads.may_see_use(viewer, found):
        context["use"] = use = reads.use(viewer, found)
        values = [tasks for _day, tasks in use.by_day]
        context["bars"] = plot.bars(values, [f"{day:%d %b}: {tasks}" for day, tasks in use.by_day])
        context["bars_width"] = plot.width(values)
    refused = any(each is not None and each.errors for each in (form, summary_form))
    return render(request, "registry/version.html", context, status=422 if refused else 200)


def _initial(place: reads.Place, manifest: Manifest) -> dict[str, Any]:
    """A limit that the market can meet now, and a row of the right length where it is short."""
    start: dict[str, Any] = {} if place.ask_micro is None else {"limit_price": place.ask_micro * 5 // 4}
    sizes = manifest.inputs[0].shape[1:]
    width = 1
    for size in sizes:
        width *= size
    if 0 < width <= 256:
        start["rows"] = ", ".join(["0"] * width)
    return start


def _limit(form: forms.TryModelForm) -> int | None:
    """The limit price that the form shows, in micro-credits; None for nonsense."""
    try:
        return int(form.fields["limit_price"].clean(form["limit_price"].value()))
    except ValidationError:
        return None


def _price(version: ModelVersion, limit_micro: int | None) -> dict[str, Any]:
    """What one task holds at this limit and what a second of it costs at most."""
    if limit_micro is None:
        return {"version": version, "held_micro": None}
    held = metering.worst_case(
        tasks=1,
        executions=1,
        max_seconds=TRY_SECONDS,
        limit_price_micro=limit_micro,
        quantity_milli=TRY_LOT_MILLI,
        royalty_micro=version.royalty_micro,
    )
    second = metering.cost(price_micro=limit_micro, quantity_milli=TRY_LOT_MILLI, ms=1000)
    return {"version": version, "held_micro": held, "second_micro": round(second), "seconds": TRY_SECONDS}


def _spec(version: ModelVersion, rows: BlobRef, form: forms.TryModelForm) -> JobSpec:
    return JobSpec(
        name=f"try {version}"[:100],
        runner=Runner.ONNX,
        model_version_id=version.pk,
        inputs=(rows,),
        assurance=TRY_ASSURANCE,
        limit_price_micro=form.cleaned_data["limit_price"],
        max_seconds=TRY_SECONDS,
        max_parallel=1,
    )


def _row_words(manifest: Manifest) -> str:
    sizes = manifest.inputs[0].shape[1:]
    return " × ".join(_("any") if size < 0 else str(size) for size in sizes) or "1"


def _tried(viewer: Viewer, version: ModelVersion, job_id: int | None) -> Any:
    """The job that tries this version, if the address names one that the viewer may see."""
    if job_id is None:
        return None
    return scheduler.visible_jobs(viewer.membership).filter(pk=job_id, model_version=version).first()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _version(viewer: Viewer, version_id: int) -> ModelVersion:
    try:
        return registry.version_of(viewer.cooperative_id, version_id)
    except errors.NotFound as error:
        raise Http404 from error
