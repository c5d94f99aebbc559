"""Reads of models for the pages: cards, one version with its use and revenue, where it can run now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, F, JSONField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, TruncDate

from common import refusals
from common.words import said as _
from dashboard.queries import books
from dashboard.queries.viewer import Viewer
from marketplace import queries as market
from marketplace.core.fit import Needs
from nodes import queries as nodes
from nodes.core import states
from opengrid.manifest import FileKind, Manifest
from registry import queries as registry
from registry.models import Model, ModelVersion
from scheduler.core import fitting
from scheduler.models import Job, Task

PAGE_ROWS = 24
SORTS = ("name", "newest")
USE_DAYS = 30
RUNNER = "onnx"


@dataclass(frozen=True)
class Wish:
    """What a list of models is asked for, as its address says it."""

    text: str = ""
    task: str = ""
    sort: str = "name"
    mine: bool = False


@dataclass(frozen=True)
class Place:
    """Where models can run now: nodes that are there, and the least price asked per core-hour."""

    nodes: int
    ask_micro: int | None


@dataclass(frozen=True)
class Card:
    """A model with its newest usable version, parsed; None where every version was withdrawn."""

    model: Model
    version: ModelVersion | None
    manifest: Manifest | None
    versions: int
    refusal: str | None
    """Why the platform cannot run it, in words; None if it can."""

    @property
    def is_runnable(self) -> bool:
        """Whether jobs can use it."""
        return self.version is not None and self.refusal is None


def _usable() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.filter(withdrawn_at__isnull=True, publisher_key__revoked_at__isnull=True)


def _of(viewer: Viewer) -> QuerySet[Any]:
    """Models with `newest_id`, the newest version that jobs may use, and its `task`."""
    latest = _usable().filter(model=OuterRef("pk")).order_by("-pk")
    return Model.objects.filter(cooperative_id=viewer.cooperative_id).annotate(
        newest_id=Subquery(latest.values("pk")[:1]),
        task=KeyTextTransform("task", Cast(Subquery(latest.values("manifest")[:1]), JSONField())),
    )


def listed(viewer: Viewer, wish: Wish, after: str = "") -> tuple[list[Card], str]:
    """A page of cards and the cursor of the next one, empty on the last. Three queries."""
    rows = _of(viewer)
    if wish.text:
        who = Q(publisher__user__display_name__icontains=wish.text)
        rows = rows.filter(
            Q(name__icontains=wish.text) | Q(summary__icontains=wish.text) | Q(task__icontains=wish.text) | who
        )
    if wish.task:
        rows = rows.filter(task=wish.task)
    if wish.mine:
        rows = rows.filter(publisher=viewer.membership)
    if wish.sort == "newest":
        rows = rows.order_by(F("newest_id").desc(nulls_last=True), "-pk")
        if after.isdecimal() and len(after) <= 18:
            rows = rows.filter(newest_id__lt=int(after))
    else:
        rows = rows.order_by("name")
        if after:
            rows = rows.filter(name__gt=after[:63])
    found = list(rows.select_related("publisher__user").annotate(total=Count("versions"))[: PAGE_ROWS + 1])
    page = found[:PAGE_ROWS]
    newest = ModelVersion.objects.in_bulk([model.newest_id for model in page if model.newest_id])
    cards = [_card(model, newest.get(model.newest_id), model.total) for model in page]
    if len(found) <= PAGE_ROWS:
        return cards, ""
    return cards, str(page[-1].newest_id or "0") if wish.sort == "newest" else page[-1].name


def _card(model: Model, version: ModelVersion | None, versions: int) -> Card:
    manifest = registry.manifest_of(version) if version else None
    return Card(model, version, manifest, versions, refusal(manifest) if manifest else None)


def tasks(viewer: Viewer) -> list[str]:
    """What the cooperative's models do, each once, for the filter. One query."""
    rows = _of(viewer).filter(task__isnull=False).values_list("task", flat=True)
    return sorted(set(rows))


def refusal(manifest: Manifest) -> str | None:
    """Why no job can use it, in words; None if one can."""
    has_graph = any(file.kind is FileKind.ONNX for file in manifest.files)
    words = fitting.model_refusal(manifest) if has_graph else _("weights only")
    return None if words is None else refusals.translated(words)


def place(viewer: Viewer) -> Place:
    """Where an ONNX model can run now. As many queries as there are books, and one."""
    able = market.nodes_able(viewer.membership.cooperative, Needs(runner=RUNNER)).able
    there = [node for node in able if node.state in states.WORKING and not nodes.is_dark(node, viewer.now)]
    asks = [depth.best_sell_micro for depth in (books.depth(viewer, book) for book in books.books(viewer))]
    return Place(nodes=len(there), ask_micro=min((ask for ask in asks if ask is not None), default=None))


def versions(model: Model) -> list[ModelVersion]:
    """Every version of a model, newest first."""
    return list(model.versions.select_related("publisher_key").order_by("-pk"))


@dataclass(frozen=True)
class Use:
    """What a version did in the last USE_DAYS days. Royalties are before the cooperative's fee."""

    jobs: int
    members: int
    tasks: int
    royalty_micro: int
    by_day: Sequence[tuple[date, int]]
    """Accepted tasks of each day, oldest first, days without any included."""


def use(viewer: Viewer, version: ModelVersion) -> Use:
    """Jobs, accepted tasks and royalties of a version. Two queries."""
    since = viewer.day_began_at - timedelta(days=USE_DAYS - 1)
    jobs = Job.objects.filter(model_version=version, submitted_at__gte=since)
    counted = jobs.aggregate(jobs=Count("pk"), members=Count("submitter", distinct=True))
    accepted = Task.objects.filter(job__model_version=version, state=Task.State.ACCEPTED, finished_at__gte=since)
    rows = accepted.annotate(day=TruncDate("finished_at")).values("day").order_by("day")
    found = {row["day"]: row for row in rows.annotate(tasks=Count("pk"), royalty=Sum("job__royalty_micro"))}
    days = [(since + timedelta(days=number)).date() for number in range(USE_DAYS)]
    return Use(
        jobs=counted["jobs"],
        members=counted["members"],
        tasks=sum(row["tasks"] for row in found.values()),
        royalty_micro=sum(row["royalty"] for row in found.values()),
        by_day=[(day, found[day]["tasks"] if day in found else 0) for day in days],
    )


def may_see_use(viewer: Viewer, version: ModelVersion) -> bool:
    """The publisher, and whoever sees all jobs or the whole ledger."""
    return version.model.publisher_id == viewer.membership.pk or viewer.may("jobs.view_all")
