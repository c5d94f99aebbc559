"""Models and their signed versions."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Membership
from dashboard.admin.forms import why
from dashboard.admin.section import Act, Section, Table
from dashboard.templatetags.dashboard import amount
from registry import services
from registry.models import ModelVersion


def _withdraw(by: Membership, row: ModelVersion, typed: dict[str, Any], now: datetime) -> str:
    services.withdraw_version_for_cooperative(by=by, version=row, reason=typed["reason"], now=now)
    return _("No new job can use this version.")


class WithdrawnFilter(admin.SimpleListFilter):
    """Versions that new jobs may use, or those withdrawn."""

    title = gettext_lazy("use")
    parameter_name = "withdrawn"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("In use")), ("yes", _("Withdrawn"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(withdrawn_at__isnull=self.value() == "no")


class Versions(Section):
    """What was published, by whom, under which key."""

    group = "machines"
    title = gettext_lazy("Model versions")
    through = "model__cooperative"
    list_display = ("__str__", "publisher", "royalty", "published_at", "withdrawn_at")
    list_filter = (WithdrawnFilter,)
    list_select_related = ("model__publisher__user",)
    search_fields = ("model__name",)
    search_help_text = gettext_lazy("The whole name of a model")
    fields = ("publisher", "royalty", "manifest_digest", "key", "published_at", "withdrawn_at")
    readonly_fields = fields
    acts = (
        Act(
            "withdraw",
            gettext_lazy("Withdraw"),
            "models.withdraw",
            why,
            _withdraw,
            fits=lambda _by, row: row.withdrawn_at is None,
            explanation=gettext_lazy("New jobs cannot use it; what was done with it stays readable."),
            is_grave=True,
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the model's whole name, which is unique in the cooperative."""
        term = search_term.strip()
        return (queryset.filter(model__name=term) if term else queryset), False

    @admin.display(description=gettext_lazy("Publisher"))
    def publisher(self, row: ModelVersion) -> str:
        return str(row.model.publisher.user)

    @admin.display(description=gettext_lazy("Royalty per task"))
    def royalty(self, row: ModelVersion) -> SafeString:
        return amount(row.royalty_micro)

    @admin.display(description=gettext_lazy("Signed with"))
    def key(self, row: ModelVersion) -> str:
        return row.publisher_key.public_key

    def tables(self, row: ModelVersion) -> Iterable[Table]:
        files = row.files.select_related("blob").order_by("name")
        yield Table(
            _("Files"),
            (_("Name"), _("Bytes"), _("Digest")),
            [(file.name, file.blob.size_bytes, file.blob.digest) for file in files],
        )
