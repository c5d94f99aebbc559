"""What members send and see of nodes, as strict messages; nodes themselves speak opengrid.messages."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from common.bodies import INVISIBLE
from common.errors import Invalid
from common.paging import PageQuery, YesOrNo
from nodes import queries
from nodes.models import Node, NodeEvent
from opengrid.messages import CapabilityReply, Message, Natural, Positive, timestamp

NodeName = Annotated[str, StringConstraints(max_length=100)]
Zone = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,40}$")]


class JoinTokenRequest(Message):
    """Terms on which one machine may join. The price is micro-credits per unit-hour."""

    floor_price_micro: Natural
    limit_lots: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    node_name: NodeName = ""
    tier: Literal["EDGE", "COMMUNITY", "REGIONAL", "CLOUD"] = "COMMUNITY"
    zone: Zone = ""


class JoinTokenReply(Message):
    """The secret token; it is shown this once."""

    token: str
    expires_at: str


class NodeView(Message):
    """A node as its cooperative sees it. `version` goes into If-Match when the terms are changed."""

    id: Positive
    name: str
    owner: str
    is_own: bool
    state: str
    reason: str
    is_dark: bool
    last_seen_at: str | None
    tier: str
    zone: str
    is_validator: bool
    validated_in_a_row: Natural
    floor_price_micro: Natural
    limit_lots: Natural | None
    sellable_lots: Natural
    memory_mib: Natural
    disk_mib: Natural
    runners: list[str]
    isolation: list[str]
    agent_version: str
    version: str


class TermsRequest(Message):
    """An owner's terms: micro-credits per unit-hour, and the most lots that are sold; null sells all."""

    floor_price_micro: Natural
    limit_lots: Annotated[int, Field(ge=1, le=1_000_000)] | None


class ShareView(Message):
    """A member's part of a node's earnings, in basis points."""

    member_id: Positive
    share_bp: Annotated[int, Field(ge=1, le=10_000)]


class SharesRequest(Message):
    """Everybody who shares in the earnings; the parts sum to 10,000."""

    shares: Annotated[list[ShareView], Field(min_length=1, max_length=100)]


class SharesReply(Message):
    """How a node's earnings are divided."""

    shares: list[ShareView]


class WordsRequest(Message):
    """Words for whom it concerns."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=rf"^[^\x00]*[^{INVISIBLE}][^\x00]*$")]


class ValidatorRequest(Message):
    """Whether the node is a validator, and why."""

    is_validator: bool
    text: Annotated[str, StringConstraints(max_length=500)] = ""


class NodesQuery(PageQuery):
    """Which nodes of the cooperative."""

    state: Literal["JOINED", "BENCHMARKED", "PROBATION", "ACTIVE", "DRAINING", "QUARANTINED", "RETIRED"] | None = Field(
        None, description="Only those in this state."
    )
    search: Annotated[str, StringConstraints(max_length=100)] = Field("", description="Part of the name or the zone.")
    own: YesOrNo | None = Field(None, description="Only one's own, or only those of others.")


class NodeListReply(Message):
    """A cooperative's nodes, newest first."""

    nodes: list[NodeView]
    next: str | None


class NodeEventView(Message):
    """A change of state, or a word about the node, with its typed reason."""

    at: str
    from_state: str
    to_state: str
    reason: str
    detail: str
    by: str | None


class NodeReply(Message):
    """A node and its latest events, newest first."""

    node: NodeView
    events: list[NodeEventView]


def own_status(node: Node) -> CapabilityReply:
    """What a node is told about itself."""
    return CapabilityReply(
        node_state=node.state,
        sellable_lots=node.sellable_lots,
        floor_price_micro=node.floor_price_micro,
        reason=node.state_reason,
    )


def node_view(line: queries.FleetLine) -> NodeView:
    """One node of a list."""
    node = line.node
    return NodeView(
        id=node.pk,
        name=node.name,
        owner=line.owner,
        is_own=line.is_own,
        state=node.state,
        reason=node.state_reason,
        is_dark=line.is_dark,
        last_seen_at=timestamp(node.last_seen_at) if node.last_seen_at else None,
        tier=node.tier,
        zone=node.zone,
        is_validator=node.is_validator,
        validated_in_a_row=node.validated_in_a_row,
        floor_price_micro=node.floor_price_micro,
        limit_lots=node.limit_lots,
        sellable_lots=node.sellable_lots,
        memory_mib=node.memory_mib,
        disk_mib=node.disk_mib,
        runners=node.runners,
        isolation=node.isolation,
        agent_version=node.agent_version,
        version=node.version,
    )


def event_views(events: Iterable[NodeEvent]) -> list[NodeEventView]:
    """A node's story."""
    return [
        NodeEventView(
            at=timestamp(event.at),
            from_state=event.from_state,
            to_state=event.to_state,
            reason=event.reason,
            detail=event.detail,
            by=str(event.by.user) if event.by else None,
        )
        for event in events
    ]


def shares_by_member(request: SharesRequest) -> dict[int, int]:
    """Membership id -> basis points. Raises: Invalid for a member who is named twice."""
    found = {share.member_id: share.share_bp for share in request.shares}
    if len(found) != len(request.shares):
        raise Invalid("shares: a member is named twice; accepted is once")
    return found


def shares_reply(shares: Iterable[tuple[int, str, int]]) -> SharesReply:
    """Shares of `queries.shares_of`."""
    return SharesReply(shares=[ShareView(member_id=member, share_bp=share) for member, _, share in shares])
