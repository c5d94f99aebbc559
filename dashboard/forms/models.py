"""Publishing a model, signing it, trying it."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common import inputs
from dashboard.core import quantities, rows
from dashboard.forms.fields import CreditsField, FilesField, slug
from opengrid.manifest import Tensor


class DraftModelForm(forms.Form):
    """What a publisher says about a version before signing it."""

    uploads = FilesField(
        label=_("Files"),
        help_text=_("One .onnx graph, or .safetensors weights. Formats that can run code are refused."),
    )
    name = slug(_("Name"), _("The same name again makes a new version of your model."))
    version = forms.RegexField(
        r"\A(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})(-[0-9a-z][0-9a-z.-]{0,30})?\Z",
        label=_("Version"),
        help_text=_("Such as 1.0.0. A version never changes once it is published."),
        error_messages={"invalid": _("Accepted is major.minor.patch, such as 1.0.0 or 1.1.0-beta.")},
    )
    task = slug(_("Kind of work"), _("One word, such as classification; lists can be filtered by it."))
    summary = forms.CharField(
        label=_("What it does"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("A sentence for its card. You can change it later; it is not part of what you sign."),
    )
    licence = forms.RegexField(
        r"\A[A-Za-z0-9(][A-Za-z0-9.+:() -]{0,199}\Z",
        label=_("Licence"),
        help_text=_("An SPDX name, such as CC-BY-4.0 or MIT."),
        error_messages={"invalid": _("Accepted is an SPDX expression, such as CC-BY-4.0 or MIT OR Apache-2.0.")},
    )
    royalty = CreditsField(label=_("Royalty"), help_text=_("What each accepted task pays you; 0 is free."))
    inputs = forms.CharField(
        label=_("What it takes"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "x float32 -1,64"}),
        help_text=_("For weights without a graph: name, type and sizes, a line each; -1 is any size."),
    )
    outputs = forms.CharField(
        label=_("What it gives"), required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text=_("As above.")
    )
    publisher_key = forms.ChoiceField(label=_("Sign with"))

    def __init__(self, *arguments: Any, keys: list[str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        choices = [(key, quantities.fingerprint(key)) for key in keys]
        self.fields["publisher_key"].choices = choices  # type: ignore[attr-defined]

    def clean_inputs(self) -> tuple[Tensor, ...]:
        """What the model takes, a line each."""
        return _tensors(self.cleaned_data["inputs"])

    def clean_outputs(self) -> tuple[Tensor, ...]:
        """What the model gives, a line each."""
        return _tensors(self.cleaned_data["outputs"])


def _tensors(text: str) -> tuple[Tensor, ...]:
    """Lines such as `x float32 -1,64`. Raises: forms.ValidationError."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, kind, sizes = (*line.split(), "", "", "")[:3]
        try:
            shape = tuple(int(size) for size in sizes.split(",") if size)
            found.append(Tensor.model_validate({"name": name, "dtype": kind, "shape": shape}))
        except ValueError as error:
            raise forms.ValidationError(_("Found “%(line)s”; accepted is x float32 -1,64") % {"line": line}) from error
    return tuple(found)


class PublisherKeyForm(forms.Form):
    """A public key and the proof of holding its private half."""

    public_key = forms.CharField(label=_("Public key"), max_length=60)
    proof = forms.CharField(label=_("Proof"), max_length=100)


class SignatureForm(forms.Form):
    """A signature over the manifest that the page shows."""

    manifest = forms.CharField(widget=forms.HiddenInput, strip=False)
    summary = forms.CharField(widget=forms.HiddenInput, required=False)
    signature = forms.CharField(
        label=_("Signature"),
        max_length=100,
        help_text=_("86 letters of base64url: the Ed25519 signature over the file that you can download here."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class TryModelForm(forms.Form):
    """A few rows for one real task."""

    rows = forms.CharField(
        label=_("Rows"),
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_("One row of numbers per line, or JSON."),
    )
    file = forms.FileField(
        label=_("or a file"), required=False, help_text=_(".npy, .csv or .json with at most 1000 rows.")
    )
    limit_price = CreditsField(label=_("Limit price"), minimum_micro=1, help_text=_("You never pay more than this."))

    def array(self, shape: tuple[int, ...]) -> Any:
        """The rows as the model takes them. Raises: rows.RowsRefused."""
        upload = self.cleaned_data.get("file")
        if upload is not None:
            return rows.from_file(upload.name, upload.read(), shape)
        return rows.from_text(self.cleaned_data["rows"], shape)


class SummaryForm(inputs.Versioned):
    """What a model does, in its publisher's words."""

    summary = forms.CharField(
        label=_("What it does"), max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
