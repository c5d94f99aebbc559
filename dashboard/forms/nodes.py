"""What an owner says about a node, and who shares in it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from common import inputs
from dashboard.forms.fields import CreditsField, PercentField
from dashboard.queries.machines import Share
from nodes.models import Node


class TermsForm(inputs.Versioned):
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
        return cls(
            initial={
                "floor_price": node.floor_price_micro,
                "limit_lots": node.limit_lots,
                "version": node.version,
            }
        )

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


class SharesForm(inputs.Versioned):
    """Who shares in a node's earnings: a field for each owner there is, and a place for one more."""

    adds = ("new_owner", "new_share")

    new_owner = forms.ModelChoiceField(
        label=_("One more owner"), queryset=Membership.objects.none(), required=False, empty_label=_("nobody")
    )
    new_share = PercentField(label=_("Share"))

    def __init__(self, *arguments: Any, members: Any, shares: Sequence[Share], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.owners = [*shares, *self._gone(members, shares)]
        known = [share.owner_id for share in self.owners]
        self.fields["new_owner"].queryset = members.exclude(pk__in=known)  # type: ignore[attr-defined]
        self.fields["new_owner"].label_from_instance = lambda member: str(member.user)  # type: ignore[attr-defined]
        for share in self.owners:
            field = PercentField(label=share.owner, initial=share.share_bp)
            self.fields[f"share_{share.owner_id}"] = field

    def _gone(self, members: Any, shares: Sequence[Share]) -> list[Share]:
        """Members whom the form names and who share in it no more: somebody changed the shares meanwhile."""
        known = {f"share_{share.owner_id}" for share in shares}
        written = {name.removeprefix("share_") for name in self.data if name.startswith("share_") and name not in known}
        numbers = [int(text) for text in written if text.isascii() and text.isdigit() and len(text) <= 18]
        return [Share(str(each.user), each.pk, 0) for each in members.filter(pk__in=numbers)] if numbers else []

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
