"""Nodes: what they are, what happened to them, and what a steward may decide."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Membership
from dashboard import reasons as words
from dashboard.admin.forms import why
from dashboard.admin.section import Act, Section, Table
from dashboard.templatetags.dashboard import ago, badge, percent, yes_no
from nodes import queries, services
from nodes.core import reasons, states
from nodes.models import Node
from reputation import queries as reputation


def _quarantine(by: Membership, row: Node, typed: dict[str, Any], now: datetime) -> str:
    services.quarantine(node=row, reason=reasons.QUARANTINED_BY_STEWARD, by=by, now=now, detail=typed["reason"])
    return _("The node is quarantined; its owner sees why.")


def _release(by: Membership, row: Node, typed: dict[str, Any], now: datetime) -> str:
    services.release_from_quarantine(
        node=row, reason=reasons.RELEASED_BY_STEWARD, by=by, now=now, detail=typed["reason"]
    )
    return _("The node is released and is on probation again.")


def _name_validator(by: Membership, row: Node, typed: dict[str, Any], now: datetime) -> str:
    services.name_validator(by=by, node=row, is_validator=True, now=now, detail=typed["reason"])
    return _("The node is a validator.")


def _end_validator(by: Membership, row: Node, typed: dict[str, Any], now: datetime) -> str:
    services.name_validator(by=by, node=row, is_validator=False, now=now, detail=typed["reason"])
    return _("The node is no validator any more.")


class Nodes(Section):
    """The cooperative's machines."""

    group = "machines"
    title = gettext_lazy("Nodes")
    list_display = ("name", "state_badge", "why", "operator_name", "tier", "zone", "validates", "seen")
    list_filter = ("state", "tier", "is_validator")
    list_select_related = ("operator__user",)
    search_fields = ("name",)
    search_help_text = gettext_lazy("The beginning of a name")
    fields = (
        "name",
        "state_badge",
        "why",
        "operator_name",
        "tier",
        "zone",
        "validates",
        "validated_in_a_row",
        "sellable_lots",
        "agent_version",
        "joined_at",
        "seen",
        "page",
    )
    readonly_fields = fields
    acts = (
        Act(
            "quarantine",
            gettext_lazy("Quarantine"),
            "nodes.quarantine",
            why,
            _quarantine,
            fits=lambda _by, row: row.state not in (states.QUARANTINED, states.RETIRED),
            explanation=gettext_lazy(
                "The node gets no more work, and what it runs is taken back. Its owner can appeal."
            ),
            is_grave=True,
            in_bulk=True,
        ),
        Act(
            "release",
            gettext_lazy("Release from quarantine"),
            "nodes.quarantine",
            why,
            _release,
            fits=lambda _by, row: row.state == states.QUARANTINED,
            explanation=gettext_lazy("The node has to prove itself again on probation."),
            in_bulk=True,
        ),
        Act(
            "validator",
            gettext_lazy("Name as validator"),
            "nodes.validate",
            why,
            _name_validator,
            fits=lambda _by, row: not row.is_validator and row.state not in (states.QUARANTINED, states.RETIRED),
            explanation=gettext_lazy("Its results count without probation and as another owner’s."),
        ),
        Act(
            "no-validator",
            gettext_lazy("Take the validator’s office back"),
            "nodes.validate",
            why,
            _end_validator,
            fits=lambda _by, row: row.is_validator,
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the beginning of the name, within the cooperative."""
        term = search_term.strip()
        return (queryset.filter(name__startswith=term) if term else queryset), False

    @admin.display(description=gettext_lazy("State"))
    def state_badge(self, row: Node) -> SafeString:
        return badge("node", row.state)

    @admin.display(description=gettext_lazy("Why"))
    def why(self, row: Node) -> str:
        return words.sentence(row.state_reason) if row.state_reason else "\N{EN DASH}"

    @admin.display(description=gettext_lazy("Operator"))
    def operator_name(self, row: Node) -> str:
        return str(row.operator.user)

    @admin.display(description=gettext_lazy("Validator"))
    def validates(self, row: Node) -> str:
        return yes_no(row.is_validator)

    @admin.display(description=gettext_lazy("Last heard"))
    def seen(self, row: Node) -> SafeString | str:
        return ago(row.last_seen_at)

    @admin.display(description=gettext_lazy("Its page"))
    def page(self, row: Node) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("node", args=[row.pk]), _("What its owner sees"))

    def tables(self, row: Node) -> Iterable[Table]:
        yield Table(
            _("What happened"),
            (_("When"), _("From"), _("To"), _("Why"), _("Words"), _("By")),
            [
                (
                    event.at,
                    words.of_state(words.NODE_STATES, event.from_state) if event.from_state else "",
                    words.of_state(words.NODE_STATES, event.to_state),
                    words.sentence(event.reason),
                    event.detail,
                    event.by.user if event.by else _("the platform"),
                )
                for event in queries.events_of(row)
            ],
        )
        scores = reputation.scores(row.pk)
        yield Table(
            _("Scores"),
            (_("Of"), _("Score")),
            [(words.DIMENSIONS[name], percent(score)) for name, score in scores.items()],
        )
