"""The audit trail of stewards' acts. Read only, filterable, exported as CSV."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from accounts.models import StewardAct
from dashboard.admin.section import Section
from dashboard.reasons import STEWARD_ACTS


class ActFilter(admin.SimpleListFilter):
    """One kind of act."""

    title = gettext_lazy("act")
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(act, str(words)) for act, words in STEWARD_ACTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(act=self.value()) if self.value() in STEWARD_ACTS else queryset


class Trail(Section):
    """Who did what to whom, when and why."""

    group = "trail"
    title = gettext_lazy("Audit trail")
    list_display = ("act_words", "at", "subject", "who", "reason", "change")
    list_filter = (ActFilter,)
    list_select_related = ("by__user",)
    search_fields = ("by__user__email",)
    search_help_text = gettext_lazy("The whole e-mail address of a steward")
    fields = (
        "act_words",
        "subject",
        "subject_kind",
        "subject_id",
        "who",
        "reason",
        "change",
        "request_id",
        "at",
    )
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the whole address of who did it."""
        term = search_term.strip().lower()
        return (queryset.filter(by__user__email=term) if term else queryset), False

    @admin.display(description=gettext_lazy("Act"))
    def act_words(self, row: StewardAct) -> str:
        return str(STEWARD_ACTS[row.act])

    @admin.display(description=gettext_lazy("Who"))
    def who(self, row: StewardAct) -> str:
        return str(row.by.user)

    def heading(self, row: StewardAct) -> str:
        """Who did what, as a sentence would say it."""
        return f"{self.who(row)}: {self.act_words(row)}"

    @admin.display(description=gettext_lazy("What changed"))
    def change(self, row: StewardAct) -> SafeString:
        names = sorted({*row.before, *row.after})
        return format_html_join(
            SafeString("<br>"),
            "<code>{}: {} \N{RIGHTWARDS ARROW} {}</code>",
            ((name, _value(row.before.get(name)), _value(row.after.get(name))) for name in names),
        )


def _value(found: object) -> str:
    """A fact of the trail on one line."""
    if found in (None, "", []):
        return "\N{EN DASH}"
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)
