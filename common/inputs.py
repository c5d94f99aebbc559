"""Form fields for numbers as people write them. What such a field shows is what it accepts, in every language."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from common import figures, money


class CreditsField(forms.CharField):
    """An amount of credits with at most six decimals; its value is micro-credits."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(max_length=30, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value).strip()
        try:
            return money.parse_credits(figures.plain(text))
        except figures.TwoWays as error:
            words = _("Found “%(found)s”, which can be read in two ways; write %(whole)s or %(part)s")
            given = {"found": text, "whole": error.whole, "part": error.part}
            raise forms.ValidationError(words, code="two_ways", params=given) from error
        except money.NotAnAmount as error:
            words = _("Found “%(found)s”; accepted is a number with at most six decimals, such as %(such)s")
            given = {"found": text, "such": figures.localised("0.80")}
            raise forms.ValidationError(words, code="not_an_amount", params=given) from error

    def prepare_value(self, value: Any) -> Any:
        return figures.localised(money.shortest_credits(value)) if isinstance(value, int) else value
