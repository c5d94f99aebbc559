"""Forms of the pages: what a person may write, and what is accepted instead of what cannot be."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pydantic
from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from common import figures, money
from dashboard.core import quantities, rows
from dashboard.queries.machines import Share
from marketplace.models import Order
from nodes.models import Node
from opengrid.manifest import Tensor
from opengrid.messages import BlobRef, JobSpec
from registry.models import ModelVersion

MOST_MICRO = 10**12
"""A price above a million credits per hour is a slip of the hand."""


class CreditsField(forms.CharField):
    """An amount of credits as a person writes it; its value is micro-credits."""

    def __init__(self, *, minimum_micro: int = 0, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(max_length=30, widget=widget, **options)
        self.minimum_micro = minimum_micro

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            micro = money.parse_credits(text)
        except money.NotAnAmount as error:
            words = _("Found “%(found)s”; accepted is a number such as 0.80")
            raise forms.ValidationError(words % {"found": text}) from error
        if not self.minimum_micro <= micro <= MOST_MICRO:
            least, most = (figures.localised(quantities.price(bound)) for bound in (self.minimum_micro, MOST_MICRO))
            raise forms.ValidationError(
                _("Accepted are %(least)s to %(most)s credits") % {"least": least, "most": most}
            )
        return micro


class TermsForm(forms.Form):
    """An owner's terms for a node."""

    floor_price = CreditsField(label=_("Least price"), help_text=_("The node is never sold for less."))
    limit_lots = forms.IntegerField(
        label=_("Sell at most"),
        required=False,
        min_value=1,
        max_value=100_000,
        help_text=_("Empty: everything that was measured."),
    )

    @classmethod
    def of(cls, node: Node) -> "TermsForm":
        """A form that shows the terms as they are."""
        return cls(initial={"floor_price": quantities.price(node.floor_price_micro), "limit_lots": node.limit_lots})

    def terms(self) -> dict[str, Any]:
        """Arguments of the service."""
        return {
            "floor_price_micro": self.cleaned_data["floor_price"],
            "limit_lots": self.cleaned_data["limit_lots"],
        }


class AddNodeForm(TermsForm):
    """Terms of a machine that is about to join."""

    node_name = forms.CharField(
        label=_("Name"), required=False, max_length=100, help_text=_("Empty: the machine’s own host name.")
    )
    tier = forms.ChoiceField(
        label=_("Tier"),
        choices=[
            (Node.Tier.EDGE, _("Edge: a device")),
            (Node.Tier.COMMUNITY, _("Community: a machine at a member’s place")),
            (Node.Tier.REGIONAL, _("Regional: a shared machine room")),
            (Node.Tier.CLOUD, _("Cloud: a rented machine")),
        ],
        initial=Node.Tier.COMMUNITY,
    )
    zone = forms.CharField(
        label=_("Zone"),
        required=False,
        max_length=40,
        help_text=_("Where it stands, such as “north”; jobs can ask for it."),
    )

    field_order = ("node_name", "floor_price", "limit_lots", "tier", "zone")

    def terms(self) -> dict[str, Any]:
        """Arguments of the service."""
        own = {name: self.cleaned_data[name] for name in ("node_name", "tier", "zone")}
        return super().terms() | own


class ReasonForm(forms.Form):
    """Words for the person an act concerns."""

    text = forms.CharField(label=_("In your words"), max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class TicketForm(forms.Form):
    """An order ticket: what one would buy or sell, at which limit, and how long it waits."""

    side = forms.ChoiceField(choices=Order.Side.choices, initial=Order.Side.BUY)
    lots = forms.IntegerField(label=_("At most"), min_value=1, max_value=100_000, initial=1)
    price = CreditsField(label=_("Limit price"), minimum_micro=1)
    time_in_force = forms.ChoiceField(
        label=_("What does not trade at once"),
        choices=[
            (Order.TimeInForce.GTC, _("waits on the book (GTC)")),
            (Order.TimeInForce.IOC, _("is dropped (IOC)")),
            (Order.TimeInForce.FOK, _("all or nothing (FOK)")),
        ],
        initial=Order.TimeInForce.GTC,
    )
    node = forms.ModelChoiceField(label=_("Node"), queryset=Node.objects.none(), required=False)

    def __init__(self, *arguments: Any, nodes: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["node"].queryset = nodes  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        node, price = cleaned.get("node"), cleaned.get("price")
        if cleaned.get("side") == Order.Side.SELL and "node" not in self.errors:
            if node is None:
                self.add_error("node", _("Choose which of your nodes carries the lots."))
            elif price is not None and price < node.floor_price_micro:
                floor = figures.localised(quantities.price(node.floor_price_micro))
                self.add_error("price", _("The least price you set for this node is %(floor)s.") % {"floor": floor})
        return cleaned


class NeedForm(forms.Form):
    """How much computing somebody needs, by when, and how sure the result has to be."""

    hours = forms.DecimalField(
        label=_("Computing time"), min_value=Decimal("0.1"), max_value=100_000, decimal_places=1, initial=4
    )
    within = forms.DecimalField(
        label=_("Done within"), min_value=Decimal("0.1"), max_value=1_000, decimal_places=1, initial=1
    )
    assurance = forms.ChoiceField(
        label=_("Results"),
        choices=[
            ("none", _("run once, unchecked")),
            ("quorum-2", _("two owners must agree")),
            ("quorum-3", _("majority of three owners")),
        ],
        initial="quorum-2",
    )


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


class FilesField(forms.FileField):
    """One or several files."""

    widget = forms.ClearableFileInput

    def __init__(self, **options: Any) -> None:
        widget = forms.ClearableFileInput()
        widget.allow_multiple_selected = True
        widget.attrs["multiple"] = True
        super().__init__(widget=widget, **options)

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        one = super().clean
        if not data:
            return [one(None, initial)]
        return [one(each, initial) for each in data]


def _slug(label: Any, help_text: Any) -> forms.RegexField:
    words = _("Accepted are 1 to 63 of the letters a to z, digits, dots, hyphens and underscores.")
    return forms.RegexField(
        r"\A[a-z0-9][a-z0-9._-]{0,62}\Z", label=label, help_text=help_text, error_messages={"invalid": words}
    )


class DraftModelForm(forms.Form):
    """What a publisher says about a version before signing it."""

    uploads = FilesField(
        label=_("Files"),
        help_text=_("One .onnx graph, or .safetensors weights. Formats that can run code are refused."),
    )
    name = _slug(_("Name"), _("The same name again makes a new version of your model."))
    version = forms.RegexField(
        r"\A(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})(-[0-9a-z][0-9a-z.-]{0,30})?\Z",
        label=_("Version"),
        help_text=_("Such as 1.0.0. A version never changes once it is published."),
        error_messages={"invalid": _("Accepted is major.minor.patch, such as 1.0.0 or 1.1.0-beta.")},
    )
    task = _slug(_("Kind of work"), _("One word, such as classification; lists can be filtered by it."))
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


class SummaryForm(forms.Form):
    """What a model does, in its publisher's words."""

    summary = forms.CharField(
        label=_("What it does"), max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class PercentField(forms.CharField):
    """A share in percent with at most two decimals; its value is basis points."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(max_length=10, required=False, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value).strip().removesuffix("%").strip().replace(",", ".")
        if not text:
            return 0
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", text) is None:
            raise forms.ValidationError(_("Found “%(found)s”; accepted is a number such as 12.5") % {"found": text})
        whole, _dot, rest = text.partition(".")
        return int(whole) * 100 + int(rest.ljust(2, "0"))


class SharesForm(forms.Form):
    """Who shares in a node's earnings: a field for each owner there is, and a place for one more."""

    new_owner = forms.ModelChoiceField(
        label=_("One more owner"), queryset=Membership.objects.none(), required=False, empty_label=_("nobody")
    )
    new_share = PercentField(label=_("Share"))

    def __init__(self, *arguments: Any, members: Any, shares: Iterable[Share], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.owners = list(shares)
        known = [share.owner_id for share in self.owners]
        self.fields["new_owner"].queryset = members.exclude(pk__in=known)  # type: ignore[attr-defined]
        self.fields["new_owner"].label_from_instance = lambda member: str(member.user)  # type: ignore[attr-defined]
        for share in self.owners:
            field = PercentField(label=share.owner, initial=quantities.price(share.share_bp * 10_000))
            self.fields[f"share_{share.owner_id}"] = field

    @property
    def owner_fields(self) -> list[Any]:
        """The fields of those who share in it already."""
        return [self[f"share_{share.owner_id}"] for share in self.owners]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("new_share") and not cleaned.get("new_owner") and "new_owner" not in self.errors:
            self.add_error("new_owner", _("Choose who gets this share."))
        if cleaned.get("new_owner") and not cleaned.get("new_share") and "new_share" not in self.errors:
            self.add_error("new_share", _("Say how much."))
        return cleaned

    def shares(self) -> dict[int, int]:
        """Membership id -> basis points, those with nothing left out."""
        found = {share.owner_id: self.cleaned_data[f"share_{share.owner_id}"] for share in self.owners}
        if self.cleaned_data["new_owner"]:
            found[self.cleaned_data["new_owner"].pk] = self.cleaned_data["new_share"]
        return {owner: share for owner, share in found.items() if share}
