"""What waits for a steward: each with what can be done about it and where. Every query is bounded and indexed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts import queries as accounts
from accounts.models import CreditIssue, JoinRequest, PolicyVersion
from dashboard.queries.viewer import Viewer
from ledger import queries as ledger
from nodes import queries as nodes
from nodes.core import reasons, states
from nodes.models import Node, NodeEvent
from scheduler.models import Attempt, Job, JobEvent

MOST_OF_A_KIND = 20
STUCK_AFTER = timedelta(minutes=10)
"""As long as a task is left alone before it is given up."""


@dataclass(frozen=True)
class Waiting:
    """`kind` names words in the template; `page` and `number` lead there; `act` is the act that page offers."""

    kind: str
    subject: str
    page: str
    number: int | None = None
    code: str = ""
    words: str = ""
    since: datetime | None = None
    acts: tuple[str, ...] = ()
    tone: str = "warn"


def items(viewer: Viewer) -> list[Waiting]:
    """Everything that waits for a steward of the cooperative, the gravest first."""
    found = [
        *_frozen(),
        *_quarantined(viewer),
        *_newcomers(viewer),
        *_rules(viewer),
        *_credit(viewer),
        *_dark(viewer),
        *_stuck(viewer),
    ]
    return sorted(found, key=lambda item: item.tone != "bad")


def _frozen() -> Iterator[Waiting]:
    for freeze in ledger.open_freezes()[:MOST_OF_A_KIND]:
        yield Waiting("payouts_frozen", "", "admin:ledger", since=freeze.frozen_at, tone="bad")


def _quarantined(viewer: Viewer) -> Iterator[Waiting]:
    """Quarantined nodes; those whose owner appealed since say so, in the owner's words, and come first."""
    rows = list(
        Node.objects.filter(cooperative_id=viewer.cooperative_id, state=states.QUARANTINED)
        .order_by("-pk")
        .select_related("operator__user")[:MOST_OF_A_KIND]
    )
    appeals = _appeals(rows)
    for node in sorted(rows, key=lambda node: node.pk not in appeals):
        appeal = appeals.get(node.pk)
        yield Waiting(
            "appeal" if appeal else "quarantined",
            node.name,
            "admin:nodes_node_change",
            node.pk,
            node.state_reason,
            appeal.detail if appeal else "",
            appeal.at if appeal else None,
            ("release",),
            "bad" if appeal else "warn",
        )


def _appeals(rows: list[Node]) -> dict[int, NodeEvent]:
    """Node id -> the last appeal since the node was quarantined."""
    ids = [node.pk for node in rows]
    began = dict(
        NodeEvent.objects.filter(node__in=ids, to_state=states.QUARANTINED)
        .exclude(from_state=states.QUARANTINED)
        .values_list("node")
        .annotate(last=Max("pk"))
        .order_by("node")
    )
    events = NodeEvent.objects.filter(node__in=ids, reason=reasons.APPEAL).order_by("pk")
    return {event.node_id: event for event in events if event.pk > began.get(event.node_id, 0)}


def _newcomers(viewer: Viewer) -> Iterator[Waiting]:
    waiting = JoinRequest.objects.filter(cooperative_id=viewer.cooperative_id, state=JoinRequest.State.WAITING)
    for request in waiting.select_related("user").order_by("pk")[:MOST_OF_A_KIND]:
        yield Waiting(
            "newcomer",
            str(request.user),
            "admin:accounts_joinrequest_change",
            request.pk,
            words=request.message,
            since=request.asked_at,
            acts=("accept", "decline"),
        )


def _rules(viewer: Viewer) -> Iterator[Waiting]:
    number, _rules = accounts.current_policy(viewer.cooperative_id)
    waiting = PolicyVersion.objects.filter(
        cooperative_id=viewer.cooperative_id, number__gt=number, replaces=number, adoption__isnull=True
    )
    for version in waiting.order_by("-number").select_related("proposed_by__user")[:MOST_OF_A_KIND]:
        own = version.proposed_by_id == viewer.membership.pk
        yield Waiting(
            "own_policy" if own else "policy",
            str(version.number),
            "admin:accounts_policyversion_change",
            version.pk,
            words=version.reason,
            since=version.proposed_at,
            acts=() if own else ("adopt",),
        )


def _credit(viewer: Viewer) -> Iterator[Waiting]:
    waiting = CreditIssue.objects.filter(cooperative_id=viewer.cooperative_id, state=CreditIssue.State.PROPOSED)
    for issue in waiting.order_by("pk")[:MOST_OF_A_KIND]:
        own = issue.proposed_by_id == viewer.membership.pk
        yield Waiting(
            "own_credit" if own else "credit",
            issue.to_address,
            "admin:accounts_creditissue_change",
            issue.pk,
            words=issue.reason,
            since=issue.proposed_at,
            acts=("refuse",) if own else ("approve", "refuse"),
        )


def _dark(viewer: Viewer) -> Iterator[Waiting]:
    """Nodes that should be there and are not heard of, the longest first."""
    quiet = viewer.now - timedelta(seconds=nodes.DARK_SECONDS)
    rows = Node.objects.filter(cooperative_id=viewer.cooperative_id, state__in=(*states.WORKING, states.DRAINING))
    missing = rows.filter(Q(last_seen_at__lt=quiet) | Q(last_seen_at__isnull=True))
    for node in missing.order_by("last_seen_at", "pk")[:MOST_OF_A_KIND]:
        yield Waiting("dark", node.name, "admin:nodes_node_change", node.pk, since=node.last_seen_at)


def _stuck(viewer: Viewer) -> Iterator[Waiting]:
    """Unfinished jobs that nothing was written about for ten minutes and that no node works on."""
    before = viewer.now - STUCK_AFTER
    rows = Job.objects.filter(
        cooperative_id=viewer.cooperative_id, closed_at__isnull=True, finished_at__isnull=True, submitted_at__lt=before
    ).exclude(pk__in=Attempt.objects.filter(state=Attempt.State.RUNNING).values("task__job"))
    last = JobEvent.objects.filter(job=OuterRef("pk")).order_by("-pk").values("at")[:1]
    quiet = rows.annotate(last_at=Coalesce(Subquery(last), "submitted_at")).filter(last_at__lt=before)
    for job in quiet.order_by("pk")[:MOST_OF_A_KIND]:
        yield Waiting("stuck", job.name, "admin:scheduler_job_change", job.pk, job.reason, since=job.last_at)
