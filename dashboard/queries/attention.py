"""What needs a member's attention first, each with the page where something can be done about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from accounts import queries as accounts
from accounts.models import CreditIssue, PolicyVersion
from dashboard.queries import jobs, machines
from dashboard.queries.viewer import Viewer
from nodes.core import states
from nodes.models import Node


@dataclass(frozen=True)
class Item:
    """`kind` says what it is about; `code` is the typed reason; `subject` its name; `page` and `number` lead there."""

    kind: str
    code: str
    subject: str
    page: str
    number: int | None = None
    tone: str = "warn"


def items(viewer: Viewer) -> list[Item]:
    """Everything that waits for the viewer, the gravest first."""
    found = [*_nodes(viewer), *_jobs(viewer), *_decisions(viewer)]
    return sorted(found, key=lambda item: item.tone != "bad")


def _nodes(viewer: Viewer) -> Iterator[Item]:
    for row in machines.operated(viewer):
        node = row.node
        if node.state == states.QUARANTINED:
            yield Item("node_quarantined", node.state_reason, node.name, "node", node.pk, "bad")
        elif row.is_missing:
            yield Item("node_dark", "node_dark", node.name, "node", node.pk, "bad")
        elif node.state == states.JOINED and node.state_reason != "joined":
            yield Item("node_unfit", node.state_reason, node.name, "node", node.pk)
    if viewer.may("nodes.quarantine"):
        others = Node.objects.filter(cooperative_id=viewer.cooperative_id, state=states.QUARANTINED)
        for node in others.exclude(operator=viewer.membership).order_by("name", "pk")[:5]:
            yield Item("node_to_judge", node.state_reason, node.name, "node", node.pk)


def _jobs(viewer: Viewer) -> Iterator[Item]:
    for job in jobs.lately_failed(viewer):
        yield Item("job_failed", job.reason, job.name, "job", job.pk, "bad")


def _decisions(viewer: Viewer) -> Iterator[Item]:
    """What another steward proposed and a second one must decide."""
    if viewer.may("credit.issue"):
        issues = CreditIssue.objects.filter(cooperative_id=viewer.cooperative_id, state=CreditIssue.State.PROPOSED)
        for issue in issues.exclude(proposed_by=viewer.membership).order_by("pk")[:5]:
            yield Item("issue_to_approve", "", issue.reason, "cooperative")
    if viewer.may("members.invite"):
        for request in accounts.waiting_requests(viewer.cooperative_id)[:5]:
            yield Item("join_request", "", str(request.user), "cooperative")
    if viewer.may("policy.adopt"):
        last = PolicyVersion.objects.filter(cooperative_id=viewer.cooperative_id).order_by("-number")
        version = last.select_related("adoption").first()
        if version and not hasattr(version, "adoption") and version.proposed_by_id != viewer.membership.pk:
            yield Item("policy_to_adopt", "", version.reason, "cooperative")
