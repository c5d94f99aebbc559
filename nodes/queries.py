"""What is known about nodes: whose they are, whether they are there, who shares in their pay."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet

from accounts.models import Membership
from common import versions
from common.errors import NotFound
from common.words import said as _
from nodes.core import states
from nodes.models import CapabilityStatement, Node, NodeEvent, NodeShare

DARK_SECONDS: Final = 30
"""A node that was not heard for so long costs nothing and is given nothing."""
HEARTBEAT_SECONDS: Final = 5
POLL_SECONDS: Final = 2
WHOLE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One node as lists show it."""

    node: Node
    owner: str
    is_dark: bool
    is_own: bool


def owner_key(node: Node) -> str:
    """The operator behind a node, across cooperatives; self-trade and quorums go by it."""
    return owner_key_of(node.operator)


def owner_key_of(membership: Membership) -> str:
    """As `owner_key`, for a member who acts without a node."""
    return f"user:{membership.user_id}"


def execution_owner(node: Node) -> str:
    """Whose execution counts as one of several in a quorum: a validator's is nobody else's."""
    return f"validator:{node.pk}" if node.is_validator else owner_key(node)


def is_on_probation(node: Node) -> bool:
    """Whether the node's results must agree with another owner's. A validator's need not."""
    return node.state == states.PROBATION and not node.is_validator


def is_dark(node: Node, now: datetime) -> bool:
    """Whether nothing was heard of the node for DARK_SECONDS."""
    return node.last_seen_at is None or now - node.last_seen_at > timedelta(seconds=DARK_SECONDS)


def shares_version(node_id: int) -> str:
    """Changes with who shares in the node, and how much."""
    owners = shares_of([node_id])[node_id]
    return versions.of("shares", node_id, *(part for owner, _, bp in owners for part in (owner, bp)))


def shares_of(node_ids: Iterable[int]) -> dict[int, list[tuple[int, str, int]]]:
    """Node id -> (membership id, wallet address, basis points), ordered, 10 000 in total.

    A node without rows belongs wholly to its operator.
    """
    wanted = set(node_ids)
    found: dict[int, list[tuple[int, str, int]]] = {}
    rows = NodeShare.objects.filter(node_id__in=wanted).select_related("owner").order_by("node_id", "owner_id")
    for share in rows:
        line = (share.owner_id, share.owner.wallet, share.share_bp)
        found.setdefault(share.node_id, []).append(line)
    alone = Node.objects.filter(pk__in=wanted - found.keys()).select_related("operator")
    for node in alone:
        found[node.pk] = [(node.operator_id, node.operator.wallet, WHOLE_BP)]
    return found


def nodes_of(cooperative_id: int) -> QuerySet[Node]:
    """A cooperative's nodes, by name; operators and their users are loaded."""
    return (
        Node.objects.filter(cooperative_id=cooperative_id)
        .select_related("operator__user", "cooperative")
        .order_by("name", "id")
    )


def nodes_matching(
    cooperative_id: int,
    *,
    search: str = "",
    state: str | None = None,
    operator_id: int | None = None,
    is_operators: bool | None = None,
) -> QuerySet[Node]:
    """Nodes of `nodes_of` in `state` whose name or zone contains `search`; `operator_id`'s own, or only the others."""
    found = nodes_of(cooperative_id)
    if search:
        found = found.filter(Q(name__icontains=search) | Q(zone__icontains=search))
    if state is not None:
        found = found.filter(state=state)
    if is_operators is not None:
        found = found.filter(operator_id=operator_id) if is_operators else found.exclude(operator_id=operator_id)
    return found


def operated_by_person(user_id: int, cooperative_id: int) -> list[int]:
    """Ids of the nodes that a person operates in a cooperative and that take work."""
    found = Node.objects.filter(operator__user_id=user_id, cooperative_id=cooperative_id, state__in=states.WORKING)
    return list(found.order_by("pk").values_list("pk", flat=True))


def nodes_operated_by(membership_id: int) -> QuerySet[Node]:
    """The nodes of one member, by name."""
    return (
        Node.objects.filter(operator_id=membership_id)
        .select_related("operator__user", "cooperative")
        .order_by("name", "id")
    )


def get_node(cooperative_id: int, node_id: int) -> Node:
    """A node of this cooperative. Raises: NotFound, also for another cooperative's node."""
    node = nodes_of(cooperative_id).filter(pk=node_id).first()
    if node is None:
        raise NotFound(_("this cooperative has no node %(node_id)s", node_id=node_id))
    return node


def fleet(nodes: Iterable[Node], *, viewer_id: int | None, now: datetime) -> list[FleetLine]:
    """Lines of a list of nodes (from `nodes_of`); `viewer_id` is the asking membership."""
    return [
        FleetLine(node, str(node.operator.user), is_dark(node, now), node.operator_id == viewer_id) for node in nodes
    ]


def events_of(node: Node, limit: int = 50) -> list[NodeEvent]:
    """The latest `limit` events of a node, newest first, with who caused them."""
    events = NodeEvent.objects.filter(node=node).select_related("by__user")
    return list(events.order_by("-id")[:limit])


def latest_statement(node: Node) -> CapabilityStatement | None:
    """The capability record the node's capacity stands on."""
    return CapabilityStatement.objects.filter(node=node).order_by("-id").first()


def node_by_key_id(key_id: str) -> Node | None:
    """The node a signature names: the key id is the node's id in decimal digits."""
    if not key_id.isascii() or not key_id.isdigit() or len(key_id) > 18 or key_id.startswith("0"):
        return None
    return Node.objects.select_related("cooperative", "operator").filter(pk=int(key_id)).first()
