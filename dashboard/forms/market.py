"""Order tickets, and what somebody needs in plain words."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common import figures
from dashboard.core import quantities
from dashboard.forms.fields import CreditsField
from marketplace.models import Order
from nodes.models import Node


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
