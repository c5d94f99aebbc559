"""Kinds of input that several forms have."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common import figures, inputs
from dashboard.core import quantities

MOST_MICRO = 10**12
"""A price above a million credits per hour is a slip of the hand."""


class CreditsField(inputs.CreditsField):
    """A price within bounds; its value is micro-credits."""

    def __init__(self, *, minimum_micro: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.minimum_micro = minimum_micro

    def clean(self, value: Any) -> Any:
        micro = super().clean(value)
        if not self.minimum_micro <= micro <= MOST_MICRO:
            least, most = (figures.localised(quantities.price(bound)) for bound in (self.minimum_micro, MOST_MICRO))
            raise forms.ValidationError(
                _("Accepted are %(least)s to %(most)s credits") % {"least": least, "most": most}
            )
        return micro


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
            words = _("Found “%(found)s”; accepted is a number such as %(such)s")
            raise forms.ValidationError(words % {"found": text, "such": figures.localised("12.5")})
        whole, _dot, rest = text.partition(".")
        return int(whole) * 100 + int(rest.ljust(2, "0"))

    def prepare_value(self, value: Any) -> Any:
        return figures.localised(quantities.price(value * 10_000)) if isinstance(value, int) else value


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


def slug(label: Any, help_text: Any) -> forms.RegexField:
    words = _("Accepted are 1 to 63 of the letters a to z, digits, dots, hyphens and underscores.")
    return forms.RegexField(
        r"\A[a-z0-9][a-z0-9._-]{0,62}\Z", label=label, help_text=help_text, error_messages={"invalid": words}
    )
