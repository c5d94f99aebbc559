"""A request to run a model."""

import json
import re
from typing import Any

import pydantic
from django import forms
from django.utils.translation import gettext_lazy as _

from dashboard.forms.fields import CreditsField
from opengrid.messages import BlobRef, JobSpec
from registry.models import ModelVersion


class NewJobForm(forms.Form):
    """A request to run a published model over the rows of an array."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("How you will find it again."))
    model_version = forms.ModelChoiceField(label=_("Model"), queryset=ModelVersion.objects.none(), empty_label=None)
    input = forms.FileField(label=_("Input"), help_text=_("One NumPy array (.npy); its first axis are the rows."))
    rows_per_task = forms.IntegerField(
        label=_("Rows per task"),
        min_value=1,
        max_value=1_000_000,
        initial=100,
        help_text=_("Fewer rows: more tasks, more machines at once."),
    )
    limit_price = CreditsField(label=_("Limit price"), minimum_micro=1, help_text=_("You never pay more than this."))
    assurance = forms.ChoiceField(
        label=_("Assurance"),
        widget=forms.RadioSelect,
        choices=[("none", "none"), ("quorum-2", "quorum-2"), ("quorum-3", "quorum-3")],
        initial="quorum-2",
    )
    max_seconds = forms.IntegerField(
        label=_("Longest a task may take"),
        min_value=1,
        max_value=3600,
        initial=60,
        help_text=_("The hold covers this worst case."),
    )
    max_parallel = forms.IntegerField(label=_("Lots at once, at most"), min_value=1, max_value=1000, initial=8)

    def __init__(self, *arguments: Any, versions: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["model_version"].queryset = versions  # type: ignore[attr-defined]

    def spec(self, blob: BlobRef) -> JobSpec:
        """The request as the API takes it. Raises: pydantic.ValidationError."""
        return job_spec(self.cleaned_data, blob)


class EstimateForm(NewJobForm):
    """The same request while it is being written: the file stays in the browser, its rows are told."""

    input = None  # type: ignore[assignment]
    name = forms.CharField(required=False, max_length=100)
    rows = forms.IntegerField(required=False, min_value=1, max_value=10**9)
    file_name = forms.CharField(required=False, max_length=100)
    size_bytes = forms.IntegerField(required=False, min_value=0)
    digest = forms.RegexField(r"^sha256:[0-9a-f]{64}$", required=False)


def job_spec(cleaned: dict[str, Any], blob: BlobRef) -> JobSpec:
    """A job of one input array. Raises: pydantic.ValidationError."""
    wanted = {
        "name": cleaned["name"] or blob.name,
        "runner": "onnx",
        "model_version_id": cleaned["model_version"].pk,
        "inputs": [blob.document()],
        "rows_per_task": cleaned["rows_per_task"],
        "assurance": cleaned["assurance"],
        "limit_price_micro": cleaned["limit_price"],
        "max_seconds": cleaned["max_seconds"],
        "max_parallel": cleaned["max_parallel"],
    }
    return JobSpec.model_validate_json(json.dumps(wanted))


def file_name(name: str) -> str:
    """An upload's name in the letters that names of files may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-")[:100] or "input.npy"


def first_words(error: pydantic.ValidationError) -> str:
    """What a refused message says first."""
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
