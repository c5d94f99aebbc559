"""Trust in a node's results: counted in a row, lost at once, or given by a steward."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import Membership, StewardAct
from common.words import said as _
from nodes.core import reasons, states
from nodes.models import Node
from nodes.services import capabilities, steps


@transaction.atomic
def record_validations(*, results: Sequence[tuple[int, bool]], probation_validations: int, now: datetime) -> None:
    """Count (node id, valid) verdicts in order; enough in a row end probation, one failure restores it.

    A validator's count falls, but it is never on probation.
    """
    nodes = Node.objects.select_for_update(no_key=True).order_by("id").in_bulk({pk for pk, _ in results})
    for node_id, is_valid in results:
        _count(nodes[node_id], is_valid, probation_validations, now)
    Node.objects.bulk_update(nodes.values(), ["validated_in_a_row", "state", "state_reason"])


@transaction.atomic
def name_validator(*, by: Membership, node: Node, is_validator: bool, now: datetime, detail: str = "") -> Node:
    """A steward vouches for a node of the cooperative, or takes that back.

    Raises: NotFound, Forbidden, StepRefused for a node that is quarantined or retired.
    """
    node = steps.lock(node)
    steps.require_permission(node, by, "nodes.validate")
    if node.is_validator == is_validator:
        return node
    if is_validator and node.state in (states.QUARANTINED, states.RETIRED):
        raise steps.StepRefused(_("the node is %(state)s; a validator must be able to work", state=node.state))
    before = {"is_validator": node.is_validator, "state": node.state}
    node.is_validator = is_validator
    reason = reasons.NAMED_VALIDATOR if is_validator else reasons.NO_LONGER_VALIDATOR
    working = capabilities.working_state(node)
    if node.state in states.WORKING and node.state != working:
        steps.step(node=node, to_state=working, reason=reason, now=now, by=by, detail=detail)
        node.state_reason = reason
    else:
        steps.note(node=node, reason=reason, now=now, by=by, detail=detail)
    node.save(update_fields=["is_validator", "state", "state_reason"])
    accounts.record_act(
        by=by,
        act=StewardAct.Act.NAME_VALIDATOR if is_validator else StewardAct.Act.END_VALIDATOR,
        subject=node,
        before=before,
        after={"is_validator": node.is_validator, "state": node.state},
        reason=detail,
    )
    return node


def _count(node: Node, is_valid: bool, probation_validations: int, now: datetime) -> None:
    node.validated_in_a_row = node.validated_in_a_row + 1 if is_valid else 0
    working = capabilities.working_state_of(node, probation_validations)
    if node.state not in states.WORKING or node.state == working:
        return
    reason = reasons.PROBATION_PASSED if is_valid else reasons.RESULT_REJECTED
    steps.step(node=node, to_state=working, reason=reason, now=now)
    node.state_reason = reason
