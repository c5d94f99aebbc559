"""What stewards type in the console."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import ActForm
from accounts.models import Membership


class WhyForm(ActForm):
    """A reason that the person it concerns reads."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("In words. The person it concerns reads it, and it stays in the audit trail."),
    )


class PlainForm(ActForm):
    """Nothing to type: the act is confirmed."""


def why(_by: Membership, _row: Any) -> type[ActForm]:
    """The form of an act that needs a reason."""
    return WhyForm


def confirm(_by: Membership, _row: Any) -> type[ActForm]:
    """The form of an act that is only confirmed."""
    return PlainForm
