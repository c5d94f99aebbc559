"""One step of a node's life: checked against the table of states, written with its reason."""

from collections.abc import Iterable
from datetime import datetime

from accounts import services as accounts
from accounts.models import Membership
from common import live
from common.errors import Conflict, Forbidden, NotFound
from common.words import said as _
from nodes.core import states
from nodes.models import Node, NodeEvent


class StepRefused(Conflict):
    """A node in its present state cannot take this step."""

    code = "node_state"
    title = _("The node's state does not allow this")


class NotYourNode(Forbidden):
    """Only the member who operates a node may do this."""

    code = "not_your_node"
    title = _("Only the node's operator may do this")


def lock(node: Node) -> Node:
    """The node's row, locked until the transaction ends, freshly read."""
    return Node.objects.select_for_update(no_key=True, of=("self",)).select_related("operator").get(pk=node.pk)


def step(
    *,
    node: Node,
    to_state: str,
    reason: str,
    now: datetime,
    by: Membership | None = None,
    detail: str = "",
) -> None:
    """Move a locked node to `to_state`, write the event and tell the pages; the caller saves the row.

    Raises: StepRefused.
    """
    if not states.may_step(node.state, to_state):
        raise StepRefused(
            _(
                "the node is %(state)s; from there it may become %(steps)s, not %(to_state)s",
                state=node.state,
                steps=", ".join(sorted(states.STEPS[node.state])) or "nothing else",
                to_state=to_state,
            ),
            extra={"node_state": node.state},
        )
    note(node=node, to_state=to_state, reason=reason, now=now, by=by, detail=detail)
    node.state = to_state


def note(
    *, node: Node, reason: str, now: datetime, to_state: str = "", by: Membership | None = None, detail: str = ""
) -> None:
    """Write an event; without `to_state` the state stays. An appeal leaves the reason as it is."""
    NodeEvent.objects.create(
        node=node,
        from_state=node.state,
        to_state=to_state or node.state,
        reason=reason,
        detail=detail[:500],
        by=by,
        at=now,
    )
    announce([node])


def announce(nodes: Iterable[Node]) -> None:
    """Tell the pages that show these nodes to render again, after commit."""
    cooperatives = set()
    for node in nodes:
        live.publish(f"node.{node.pk}.page")
        cooperatives.add(node.cooperative_id)
    for cooperative_id in sorted(cooperatives):
        live.publish(f"nodes.{cooperative_id}")


def require_operator(node: Node, by: Membership) -> None:
    """Raises: NotFound for an outsider, NotYourNode for another member."""
    require_member(node, by)
    if by.pk != node.operator_id:
        raise NotYourNode(_("the node belongs to another member"))


def require_permission(node: Node, by: Membership, permission: str) -> None:
    """Raises: NotFound for an outsider, accounts.NotAllowed when no role of the member allows it."""
    require_member(node, by)
    accounts.require(by, permission)


def require_member(node: Node, by: Membership) -> None:
    """Raises: NotFound when `by` does not belong (any more) to the node's cooperative."""
    if by.cooperative_id != node.cooperative_id or by.left_at is not None:
        raise NotFound(_("this cooperative has no node %(node)s", node=node.pk))
