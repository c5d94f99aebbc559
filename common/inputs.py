"""What the forms of all pages share: numbers as people write them, and forms over what others may change meanwhile."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from common import figures, money


class Versioned(forms.Form):
    """A form over something that may be changed elsewhere while it is open. It carries the version that was shown."""

    adds: Sequence[str] = ()
    """Fields that say something new and describe nothing that is there."""

    version = forms.CharField(widget=forms.HiddenInput(attrs={"id": False}), required=False, max_length=40)

    @property
    def seen(self) -> str | None:
        """The version that the person saw, for the service; None where the form does not tell."""
        return self.cleaned_data["version"] or None

    def keep(self, present: "Versioned") -> None:
        """The thing has changed meanwhile: keep what was written, say at each field what is there now instead.

        Sent once more, the form is about what the person has been told of.
        """
        typed = dict(self.cleaned_data)
        data = cast(QueryDict, self.data).copy()
        data[self.add_prefix("version")] = str(present["version"].value())
        self.data = data
        self.add_error(
            None,
            _(
                "This has been changed meanwhile. What you wrote is still here, beside what holds now;"
                " send it again to put it in its place."
            ),
        )
        for name, field in self.fields.items():
            if name == "version" or name in self.adds or name not in present.fields:
                continue
            now = present[name].value()
            if _comparable(field.clean(now)) != _comparable(typed.get(name)):
                self.add_error(name, _("Now: %(now)s") % {"now": _shown(field, now)})


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _shown(field: forms.Field, value: Any) -> str:
    """A field's value in the words of the page."""
    names = dict(getattr(field, "choices", ()))
    if names:
        return ", ".join(str(names.get(each, each)) for each in (value if isinstance(value, list) else [value]))
    return str(value) if value not in (None, "") else str(_("nothing"))


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
