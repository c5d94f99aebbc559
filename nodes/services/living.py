"""A node's working life: heard, drained, resumed, quarantined, released, retired."""

from datetime import datetime

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Greatest

from accounts import services as accounts
from accounts.models import Membership, StewardAct
from common import live
from common.errors import Conflict, Invalid
from common.words import said as _
from nodes.core import reasons, states
from nodes.models import Node
from nodes.services import capabilities, steps
from opengrid import messages


class NothingToSell(Conflict):
    """The node has no measured capacity, so that it cannot take work."""

    code = "nothing_to_sell"
    title = _("The node has no capacity to offer")


class DrainedByOwner(Conflict):
    """The node's owner has drained it; only the owner may resume it."""

    code = "drained_by_owner"
    title = _("The owner has drained this node")


class AppealInvalid(Invalid):
    """An appeal needs words, 500 characters at most."""

    code = "appeal_invalid"


def record_heartbeat(*, node: Node, request: messages.HeartbeatRequest, now: datetime) -> None:
    """Note that the node is alive. `now` is the database's clock. Touches the node's own row only."""
    Node.objects.filter(pk=node.pk).exclude(state=states.RETIRED).update(
        last_seen_at=Greatest("last_seen_at", Value(now)),
        reported_slots_free=min(request.slots_free, capabilities.LARGEST_COUNT),
        reported_load_permille=min(request.load_permille, capabilities.LARGEST_COUNT),
    )
    live.publish(f"node.{node.pk}.page")


@transaction.atomic
def drain(*, node: Node, reason: str, by: Membership | None = None, now: datetime, detail: str = "") -> Node:
    """Give the node no new work; what runs may finish. `by` is the operator, None the node itself.

    Raises: StepRefused, NotYourNode.
    """
    node = steps.lock(node)
    if by is not None:
        steps.require_operator(node, by)
    if node.state == states.DRAINING:
        if by is not None and node.state_reason != reason:
            steps.note(node=node, reason=reason, now=now, by=by, detail=detail)
            node.state_reason = reason
            node.save(update_fields=["state_reason"])
        return node
    return _move(node, states.DRAINING, reason=reason, now=now, by=by, detail=detail)


@transaction.atomic
def resume(*, node: Node, reason: str, by: Membership | None = None, now: datetime, detail: str = "") -> Node:
    """Let a draining node work again. The node itself may only undo its own drain.

    Raises: StepRefused, NothingToSell, DrainedByOwner, NotYourNode.
    """
    node = steps.lock(node)
    if by is not None:
        steps.require_operator(node, by)
    if node.state in states.WORKING:
        return node
    if node.state != states.DRAINING:
        raise steps.StepRefused(_("the node is %(state)s; only a draining node is resumed", state=node.state))
    if by is None and node.state_reason != reasons.DRAINED_BY_NODE:
        raise DrainedByOwner(_("the owner resumes it on the node's page"))
    if node.sellable_lots == 0:
        raise NothingToSell(_("send a capability record that passed the self-test and the benchmark"))
    working = capabilities.working_state(node)
    return _move(node, working, reason=reason, now=now, by=by, detail=detail)


@transaction.atomic
def retire(*, node: Node, reason: str, by: Membership | None = None, now: datetime, detail: str = "") -> Node:
    """End the node for good: its key opens nothing any more. Raises: NotYourNode."""
    node = steps.lock(node)
    if by is not None:
        steps.require_operator(node, by)
    if node.state == states.RETIRED:
        return node
    node.sellable_lots = 0
    return _move(node, states.RETIRED, reason=reason, now=now, by=by, detail=detail)


@transaction.atomic
def quarantine(*, node: Node, reason: str, by: Membership | None = None, now: datetime, detail: str = "") -> Node:
    """Take the node out of work until a steward releases it. `by` is a steward, None the platform.

    Raises: StepRefused, NotFound, Forbidden.
    """
    node = steps.lock(node)
    if by is not None:
        steps.require_permission(node, by, "nodes.quarantine")
    if node.state == states.QUARANTINED:
        return node
    node.validated_in_a_row = 0
    before = node.state
    node = _move(node, states.QUARANTINED, reason=reason, now=now, by=by, detail=detail)
    if by is not None:
        _record(by, StewardAct.Act.QUARANTINE_NODE, node, before, detail)
    return node


@transaction.atomic
def release_from_quarantine(*, node: Node, reason: str, by: Membership, now: datetime, detail: str = "") -> Node:
    """Let a quarantined node prove itself again: on probation, or from the start without capacity.

    Raises: StepRefused, NotFound, Forbidden.
    """
    node = steps.lock(node)
    steps.require_permission(node, by, "nodes.quarantine")
    if node.state != states.QUARANTINED:
        raise steps.StepRefused(_("the node is %(state)s; only a quarantined node is released", state=node.state))
    after = states.PROBATION if node.sellable_lots else states.JOINED
    node = _move(node, after, reason=reason, now=now, by=by, detail=detail)
    _record(by, StewardAct.Act.RELEASE_NODE, node, states.QUARANTINED, detail)
    return node


@transaction.atomic
def appeal(*, node: Node, by: Membership, text: str, now: datetime) -> Node:
    """Put the operator's words about a quarantine on the node's record, for the stewards.

    Raises: StepRefused, AppealInvalid, NotYourNode.
    """
    node = steps.lock(node)
    steps.require_operator(node, by)
    if node.state != states.QUARANTINED:
        raise steps.StepRefused(_("the node is %(state)s; only a quarantine is appealed", state=node.state))
    if not text.strip() or len(text) > 500:
        raise AppealInvalid(_("found %(count)s characters; accepted are 1 to 500", count=len(text)))
    steps.note(node=node, reason=reasons.APPEAL, now=now, by=by, detail=text.strip())
    return node


def _move(node: Node, to_state: str, *, reason: str, now: datetime, by: Membership | None, detail: str) -> Node:
    steps.step(node=node, to_state=to_state, reason=reason, now=now, by=by, detail=detail)
    node.state_reason = reason
    node.save(update_fields=["state", "state_reason", "sellable_lots", "validated_in_a_row"])
    return node


def _record(by: Membership, act: StewardAct.Act, node: Node, before: str, detail: str) -> None:
    accounts.record_act(
        by=by, act=act, subject=node, before={"state": before}, after={"state": node.state}, reason=detail
    )
