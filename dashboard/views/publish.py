"""Publishing a model from the browser: keys, the files and what is said of them, the signature.

The private key stays with the person: in the browser, where script cannot read it, or wherever they sign.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from common import errors, refusals
from dashboard.core import quantities
from dashboard.forms import models as forms
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, viewer_page
from opengrid import canonical, keys
from opengrid import manifest as manifests
from registry import queries, services
from registry.core import publishers
from registry.models import PublisherKey


@never_cache
@require_http_methods(["GET", "POST"])
@viewer_page("models.publish")
def publish(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form; posting it stores the files and shows the manifest that is to be signed."""
    found = list(queries.publisher_keys_of(viewer.membership))
    usable = [key.public_key for key in found if key.revoked_at is None]
    form = forms.DraftModelForm(keys=usable, initial={"version": "1.0.0", "royalty": "0"})
    if request.method == "POST":
        form = forms.DraftModelForm(request.POST, request.FILES, keys=usable)
        text = _drafted(form, viewer) if form.is_valid() else None
        if text is not None:
            wanted = {"manifest": text, "summary": form.cleaned_data["summary"]}
            return _sign(request, forms.SignatureForm(initial=wanted), text)
    return _page(request, viewer, form, found)


@never_cache
@require_POST
@viewer_page("models.publish")
def sign(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The manifest with its signature: published, or what is wrong with it at the field."""
    form = forms.SignatureForm(request.POST)
    if form.is_valid():
        try:
            version = services.publish_version(
                membership=viewer.membership,
                manifest=form.cleaned_data["manifest"],
                signature=form.cleaned_data["signature"].strip(),
                summary=form.cleaned_data["summary"],
                now=viewer.now,
            )
        except errors.AppError as error:
            form.add_error("signature" if error.code in SIGNATURE_CODES else None, refusals.told(error))
        else:
            messages.success(request, _("Published. The signature was verified here and every node verifies it again."))
            return redirect("model-version", version.pk)
    return _sign(request, form, request.POST.get("manifest", ""))


FIELDS = {
    "files": "uploads",
    "royalty_micro_per_task": "royalty",
    **{name: name for name in ("name", "version", "task", "licence", "inputs", "outputs", "publisher_key")},
}
"""Part of a manifest -> field of the form."""
SIGNATURE_CODES = ("bad_signature", "bad_key", "manifest_publisher")


@require_POST
@viewer_page("models.publish")
def to_sign(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The very bytes that a signature covers, to be signed where the key is."""
    text = request.POST.get("manifest", "")
    try:
        manifest = manifests.parse_manifest(text)
    except manifests.ManifestRefused as error:
        return HttpResponse(error.message, status=422, content_type="text/plain; charset=utf-8")
    answer = HttpResponse(
        keys.signed_bytes(keys.MODEL_MANIFEST, text.encode()), content_type="application/octet-stream"
    )
    answer["Content-Disposition"] = f'attachment; filename="{manifest.name}-{manifest.version}.to-sign"'
    return answer


@never_cache
@require_POST
@viewer_page("models.publish")
def add_key(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Register a public key whose private half the person has shown to hold."""
    form = forms.PublisherKeyForm(request.POST)
    if form.is_valid():
        try:
            services.register_publisher_key(
                membership=viewer.membership,
                public_key=form.cleaned_data["public_key"],
                proof=form.cleaned_data["proof"],
                now=viewer.now,
            )
        except errors.AppError as error:
            form.add_error("proof", refusals.told(error))
        else:
            messages.success(request, _("The key is registered. You can sign with it now."))
            return redirect("publish-model")
    found = list(queries.publisher_keys_of(viewer.membership))
    usable = [key.public_key for key in found if key.revoked_at is None]
    return _page(request, viewer, forms.DraftModelForm(keys=usable), found, form)


@require_POST
@viewer_page("models.publish")
def revoke_key(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Stop trusting a key for good."""
    wanted = request.POST.get("public_key", "")[:60]
    return act(
        request,
        lambda: services.revoke_publisher_key(membership=viewer.membership, public_key=wanted, now=viewer.now),
        done=_("The key is revoked. What it signed can be used by no new job."),
        to="publish-model",
    )


def _drafted(form: forms.DraftModelForm, viewer: Viewer) -> str | None:
    """The manifest's text, or None with the refusal at its field."""
    wish = form.cleaned_data
    draft = services.Draft(
        name=wish["name"],
        version=wish["version"],
        task=wish["task"],
        licence=wish["licence"],
        royalty_micro=wish["royalty"],
        publisher_key=wish["publisher_key"],
        inputs=wish["inputs"],
        outputs=wish["outputs"],
    )
    uploads = [services.Upload(file.name, file.chunks()) for file in wish["uploads"]]
    try:
        return services.draft_manifest(membership=viewer.membership, draft=draft, uploads=uploads, now=viewer.now)
    except services.DraftIncomplete as error:
        form.add_error(FIELDS.get(error.field), refusals.translated(error.detail))
    except services.FileRefused as error:
        form.add_error("uploads", refusals.told(error))
    except errors.AppError as error:
        form.add_error(None, refusals.told(error))
    return None


def _page(
    request: HttpRequest,
    viewer: Viewer,
    form: forms.DraftModelForm,
    found: list[PublisherKey],
    key_form: forms.PublisherKeyForm | None = None,
) -> HttpResponse:
    document = publishers.possession_document("ed25519:…", viewer.membership.pk)
    context: dict[str, Any] = {
        "form": form,
        "keys": [(key, quantities.fingerprint(key.public_key)) for key in found],
        "has_key": any(key.revoked_at is None for key in found),
        "key_form": key_form or forms.PublisherKeyForm(),
        "context": publishers.CONTEXT,
        "member": viewer.membership,
        "document": canonical.canonical_bytes(document).decode(),
    }
    refused = form.errors or (key_form is not None and key_form.errors)
    return render(request, "registry/publish.html", context, status=422 if refused else 200)


def _sign(request: HttpRequest, form: forms.SignatureForm, text: str) -> HttpResponse:
    try:
        manifest = manifests.parse_manifest(text)
    except manifests.ManifestRefused as error:
        messages.error(request, _("The manifest did not arrive whole: %(why)s") % {"why": error.message})
        return redirect("publish-model")
    context = {
        "form": form,
        "text": text,
        "manifest": manifest,
        "fingerprint": quantities.fingerprint(manifest.publisher_key),
        "context": keys.MODEL_MANIFEST,
    }
    return render(request, "registry/sign.html", context, status=422 if form.errors else 200)
