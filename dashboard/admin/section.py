"""A section of the console: a list that never counts, a page per row that changes nothing, and typed acts.

Lists are newest first and continue by key, so that their cost does not grow with the table. What stewards
do goes through `Act`: one form, one service.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.utils import label_for_field, lookup_field
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.db.models.expressions import Combinable
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.html import strip_tags
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from accounts import queries as accounts
from accounts.core import roles
from accounts.forms import ActForm
from accounts.models import Membership, StewardAct
from common import clock, inputs, refusals, versions
from common.errors import AppError, Forbidden, NotFound
from dashboard import reasons
from dashboard.reasons import Words

ROWS = 50
EXPORT_ROWS = 500
MOST_AT_ONCE = 50
LARGEST_ID = 2**63 - 1


def steward(request: HttpRequest) -> Membership:
    """The steward whom the gate let pass."""
    found: Membership = request.steward  # type: ignore[attr-defined]  # set by the gate in site.py
    return found


@dataclass(frozen=True)
class Table:
    """Rows that belong to the thing on the page."""

    title: Words
    columns: Sequence[Words]
    rows: Sequence[Sequence[object]]
    empty: Words = ""


@dataclass(frozen=True)
class Act:
    """Something a steward does to a row, or to the cooperative where `needs_row` is false.

    `run` calls one service and returns what to say; `fits` says whether the act makes sense for the row now.
    """

    slug: str
    label: Words
    permission: str
    form: Callable[[Membership, Any], type[ActForm]]
    run: Callable[[Membership, Any, dict[str, Any], datetime], str]
    fits: Callable[[Membership, Any], bool] = lambda _by, _row: True
    explanation: Words = ""
    needs_row: bool = True
    is_grave: bool = False
    in_bulk: bool = False
    result_template: str = ""
    """Shown instead of going back, for what is seen once."""


class NewestFirst(ChangeList):
    """A list by falling key. The page's parameter is the key above which everything was seen; nothing is counted."""

    older: int | None = None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Newest first, whatever the address says."""
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        """One page, and the key that the next one continues below."""
        rows = self.queryset
        if PAGE_VAR in request.GET:
            rows = rows.filter(pk__lt=min(max(self.page_num, 0), LARGEST_ID))
        found = list(rows[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        self.older = self.result_list[-1].pk if len(found) > self.list_per_page else None
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = bool(self.result_list)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(self.result_list, self.list_per_page)

    @property
    def older_query(self) -> str:
        """The address of the next page, with the filters of this one."""
        return self.get_query_string({PAGE_VAR: self.older})


class Section(ModelAdmin):  # type: ignore[type-arg]  # the stubs' generic is not one at run time
    """A model of a cooperative as stewards see it. Subclasses say what and how; nobody edits rows here."""

    group: ClassVar[str]
    title: ClassVar[Words]
    through: ClassVar[str] = "cooperative"
    """The path from a row to its cooperative."""
    acts: ClassVar[Sequence[Act]] = ()
    search_words: ClassVar[Words] = ""

    change_list_template = "console/list.html"
    change_form_template = "console/detail.html"
    list_per_page = ROWS
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    preserve_filters = False
    ordering = ("-pk",)

    # --- who may: the gate decided; nothing is added, changed or deleted but by acts ---------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return hasattr(request, "steward")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return hasattr(request, "steward")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows of the steward's cooperative."""
        return accounts.scoped(super().get_queryset(request), steward(request), self.through)

    # --- addresses ------------------------------------------------------------------------------------

    def address(self, name: str, *args: object) -> str:
        """The address of one of this section's pages."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)

    def get_urls(self) -> list[URLPattern]:
        """List, CSV, one row, acts. No address adds, changes or deletes."""
        prefix, gated = f"{self.opts.app_label}_{self.opts.model_name}", self.admin_site.admin_view
        return [
            path("", gated(self.changelist_view), name=f"{prefix}_changelist"),
            path("export.csv", gated(require_GET(self.export_view)), name=f"{prefix}_csv"),
            path("act/<slug:slug>/", gated(self.act_view), name=f"{prefix}_start"),
            path("<int:object_id>/", gated(require_GET(self.row_view)), name=f"{prefix}_change"),
            path("<int:object_id>/<slug:slug>/", gated(self.act_view), name=f"{prefix}_act"),
        ]

    # --- the list -------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirst

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": self.title,
            "section": self,
            "starts": [
                (act, self.address("start", act.slug)) for act in self.acts if not act.needs_row and _may(request, act)
            ],
            "csv": f"{self.address('csv')}?{_without_page(request)}",
            "newest": _without_page(request),
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The acts that may be done to several rows at once, each with a preview."""
        return {
            act.slug: (self._bulk(act), act.slug, f"{act.label}…")
            for act in self.acts
            if act.in_bulk and _may(request, act)
        }

    def _bulk(self, act: Act) -> Callable[..., HttpResponseBase]:
        def preview_or_run(_self: Section, request: HttpRequest, chosen: QuerySet[Any]) -> HttpResponseBase:
            return self.bulk_view(request, act, chosen)

        return preview_or_run

    def bulk_view(self, request: HttpRequest, act: Act, chosen: QuerySet[Any]) -> HttpResponseBase:
        """What would happen to which rows; then it happens to each by itself, and each says how it went."""
        by, now = steward(request), clock.database_now()
        rows = list(chosen[:MOST_AT_ONCE])
        fitting = [row for row in rows if act.fits(by, row)]
        kind = act.form(by, None)
        form = kind(request.POST) if "confirmed" in request.POST else kind()
        if form.is_bound and form.is_valid():
            for row in fitting:
                try:
                    messages.success(request, f"{row}: {act.run(by, row, form.cleaned_data, now)}")
                except AppError as error:
                    messages.error(request, f"{row}: {refusals.told(error)}")
            return redirect(self.address("changelist"))
        context = self.admin_site.each_context(request) | {
            "title": act.label,
            "section": self,
            "act": act,
            "form": form,
            "rows": [(row, row in fitting) for row in rows],
            "fitting": len(fitting),
            "back": self.address("changelist"),
        }
        return render(request, "console/bulk.html", context, status=422 if form.errors else 200)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The list with its filters, whole, as CSV."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        answer = StreamingHttpResponse(self._lines(rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}.csv"'
        return answer

    def _lines(self, rows: QuerySet[Any]) -> Iterator[str]:
        writer = csv.writer(_Echo())
        names = ["pk", *self.list_display]
        yield writer.writerow(["id", *(label_for_field(name, self.model, self) for name in self.list_display)])
        page = list(rows[:EXPORT_ROWS])
        while page:
            for row in page:
                yield writer.writerow([_plain(lookup_field(name, row, self)[2]) for name in names])
            page = list(rows.filter(pk__lt=page[-1].pk)[:EXPORT_ROWS])

    # --- one row --------------------------------------------------------------------------------------

    def row_view(self, request: HttpRequest, object_id: int) -> HttpResponseBase:
        """Everything about one row, and what can be done."""
        row = self.row(request, object_id)
        by = steward(request)
        context = {
            "title": self.heading(row),
            "section": self,
            "list_address": self.address("changelist"),
            "acts": [
                (act, self.address("act", row.pk, act.slug))
                for act in self.acts
                if act.needs_row and _may(request, act) and act.fits(by, row)
            ],
            "tables": [*self.tables(row), self._trail(row)],
        }
        return self.changeform_view(request, str(row.pk), "", context)

    def row(self, request: HttpRequest, object_id: int) -> Any:
        """The row, if it is the cooperative's. Raises: Http404."""
        found = self.get_queryset(request).filter(pk=min(object_id, LARGEST_ID)).first()
        if found is None:
            raise Http404
        return found

    def heading(self, row: Any) -> str:
        """What the page of a row is called."""
        return str(row)

    def tables(self, row: Any) -> Iterable[Table]:
        """What else belongs to the row."""
        return ()

    def _trail(self, row: Model) -> Table:
        """What stewards did to it."""
        acts = StewardAct.objects.filter(subject_kind=self.opts.model_name, subject_id=row.pk)
        found = acts.select_related("by__user").order_by("-pk")[:ROWS]
        return Table(
            _("What stewards did"),
            (_("When"), _("Who"), _("Act"), _("Reason")),
            [(act.at, act.by.user, reasons.STEWARD_ACTS[act.act], act.reason) for act in found],
            _("Nothing yet."),
        )

    # --- acts -----------------------------------------------------------------------------------------

    def act_view(self, request: HttpRequest, slug: str, object_id: int | None = None) -> HttpResponseBase:
        """The form of an act; posted, one service and what it said."""
        needs_row = object_id is not None
        act = next((act for act in self.acts if act.slug == slug and act.needs_row == needs_row), None)
        if act is None:
            raise Http404
        if not _may(request, act):
            raise PermissionDenied
        by = steward(request)
        row = None if object_id is None else self.row(request, object_id)
        kind = act.form(by, row)
        form = kind(request.POST) if request.method == "POST" else kind()
        back = self.address("changelist") if row is None else self.address("change", row.pk)
        context = self.admin_site.each_context(request) | {
            "title": act.label,
            "section": self,
            "act": act,
            "form": form,
            "row": row,
            "back": back,
            "tables": [] if row is None else list(self.tables(row))[:1],
        }
        if request.method == "POST" and form.is_valid():
            try:
                said = act.run(by, row, form.cleaned_data, clock.database_now())
            except NotFound as error:
                raise Http404 from error
            except Forbidden as error:
                raise PermissionDenied(refusals.translated(error.detail)) from error
            except versions.ChangedMeanwhile:
                present = act.form(by, None if object_id is None else self.row(request, object_id))()
                cast(inputs.Versioned, form).keep(cast(inputs.Versioned, present))
            except AppError as error:
                form.refuse(error)
            else:
                if act.result_template:
                    url = request.build_absolute_uri(said)
                    return render(request, act.result_template, context | {"said": url})
                messages.success(request, said)
                return redirect(back)
        return render(request, "console/act.html", context, status=422 if form.errors else 200)


def _without_page(request: HttpRequest) -> str:
    """The filters of the address, from the newest row on."""
    found = request.GET.copy()
    found.pop(PAGE_VAR, None)
    return found.urlencode()


def _may(request: HttpRequest, act: Act) -> bool:
    return roles.may(steward(request).roles, act.permission)


class _Echo:
    """A file that gives back what is written to it, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def _plain(value: object) -> str:
    """A value as text that a spreadsheet will not take for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    text = strip_tags(value) if isinstance(value, SafeString) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
