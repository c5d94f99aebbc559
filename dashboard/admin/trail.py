"""The audit trail of stewards' acts. Read only, filterable, exported as CSV."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
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
    list_display = ("act_words", "at", "subject", "who", "reason", "before_words", "after_words")
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
        "before_words",
        "after_words",
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

    @admin.display(description=gettext_lazy("Before"))
    def before_words(self, row: StewardAct) -> SafeString:
        return _facts(row.before)

    @admin.display(description=gettext_lazy("After"))
    def after_words(self, row: StewardAct) -> SafeString:
        return _facts(row.after)


def _facts(found: dict[str, object]) -> SafeString:
    return format_html("<code>{}</code>", json.dumps(found, ensure_ascii=False)) if found else SafeString("\N{EN DASH}")
