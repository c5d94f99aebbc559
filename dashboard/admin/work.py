"""Jobs with their timelines, and the evidence about nodes. Read only."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard import reasons as words
from dashboard.admin.section import LARGEST_ID, ROWS, Section, Table
from dashboard.queries import jobs
from dashboard.templatetags.dashboard import amount, badge, step_words, yes_no
from reputation.models import Evidence
from scheduler.models import Attempt, Job


class Jobs(Section):
    """What members asked for."""

    group = "work"
    title = gettext_lazy("Jobs")
    list_display = ("__str__", "state_badge", "why", "member", "tasks_total", "held", "submitted_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("submitter__user",)
    search_fields = ("pk",)
    search_help_text = gettext_lazy("The number of a job, or the e-mail address of a member")
    fields = (
        "name",
        "state_badge",
        "why",
        "member",
        "runner",
        "assurance",
        "tasks_total",
        "held",
        "policy_number",
        "submitted_at",
        "finished_at",
        "page",
        "hold",
    )
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By number or by the submitter's whole address; both are indexed."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        if term.isascii() and term.isdigit():
            return queryset.filter(pk=min(int(term[:19]), LARGEST_ID)), False
        return queryset.filter(submitter__user__email=term), False

    def heading(self, row: Job) -> str:
        """Its own words, as a heading begins."""
        return capfirst(str(row))

    @admin.display(description=gettext_lazy("State"))
    def state_badge(self, row: Job) -> SafeString:
        return badge("job", row.state)

    @admin.display(description=gettext_lazy("Why"))
    def why(self, row: Job) -> str:
        return words.sentence(row.reason) if row.reason else "\N{EN DASH}"

    @admin.display(description=gettext_lazy("Member"))
    def member(self, row: Job) -> str:
        return str(row.submitter.user)

    @admin.display(description=gettext_lazy("Held for the worst case"))
    def held(self, row: Job) -> SafeString:
        return amount(row.held_micro)

    @admin.display(description=gettext_lazy("Its page"))
    def page(self, row: Job) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("job", args=[row.pk]), _("What its member sees"))

    @admin.display(description=gettext_lazy("Its money"))
    def hold(self, row: Job) -> SafeString:
        address = f"{reverse('admin:account')}?address={row.hold_address}"
        return format_html('<a href="{}">{}</a>', address, _("Statement of the hold"))

    def tables(self, row: Job) -> Iterable[Table]:
        yield Table(
            _("Timeline, newest first"),
            (_("When"), _("Task"), _("What")),
            [
                (step.event.at, step.event.task.index if step.event.task else "", step_words(step))
                for step in jobs.timeline(row)
            ],
        )
        attempts = Attempt.objects.filter(task__job=row).select_related("node", "task").order_by("-pk")[:ROWS]
        yield Table(
            _("Attempts, newest first"),
            (_("Task"), _("Node"), _("State"), _("Why"), _("Claimed")),
            [
                (
                    attempt.task.index,
                    attempt.node.name,
                    badge("attempt", attempt.state),
                    words.sentence(attempt.reason) if attempt.reason else "",
                    attempt.claimed_at,
                )
                for attempt in attempts
            ],
        )


class FoundEvidence(Section):
    """Recorded facts about nodes; scores are what they add up to."""

    group = "work"
    title = gettext_lazy("Evidence")
    through = "node__cooperative"
    list_display = ("reference", "node", "dimension_words", "speaks_for_it", "why", "weight_milli", "at")
    list_filter = ("dimension", "success")
    list_select_related = ("node",)
    search_fields = ("node__name",)
    search_help_text = gettext_lazy("The whole name of a node")
    fields = ("node", "dimension_words", "speaks_for_it", "why", "weight_milli", "reference", "at")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the whole name of a node of the cooperative."""
        term = search_term.strip()
        return (queryset.filter(node__name=term) if term else queryset), False

    def heading(self, row: Evidence) -> str:
        """The node, and what was found about it."""
        return f"{row.node}: {self.why(row)}"

    @admin.display(description=gettext_lazy("Speaks for it"))
    def speaks_for_it(self, row: Evidence) -> str:
        return yes_no(row.success)

    @admin.display(description=gettext_lazy("Speaks about"))
    def dimension_words(self, row: Evidence) -> str:
        return str(words.DIMENSIONS[row.dimension])

    @admin.display(description=gettext_lazy("Why"))
    def why(self, row: Evidence) -> str:
        return words.sentence(row.reason)
