"""An owner's terms: the floor price, the limit, and who shares in the earnings."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from accounts.models import Membership
from common import versions
from common.errors import Invalid
from common.words import said as _
from nodes import queries
from nodes.models import Node, NodeShare
from nodes.services import capabilities, joining, steps
from opengrid import messages


class SharesRefused(Invalid):
    """Shares are positive, belong to members of the cooperative and sum to 10 000 basis points."""

    code = "node_shares_refused"
    title = _("These shares cannot be accepted")


@transaction.atomic
def set_terms(
    *,
    by: Membership,
    node: Node,
    floor_price_micro: int,
    limit_lots: int | None,
    now: datetime,
    version: str | None = None,
) -> Node:
    """Set the least price per unit-hour (micro-credits) and the most lots that are sold.

    With `version`, only if the terms are still those that were seen.
    Raises: TermsInvalid, NotYourNode, NotFound, versions.ChangedMeanwhile.
    """
    joining.check_terms(floor_price_micro=floor_price_micro, limit_lots=limit_lots)
    node = steps.lock(node)
    steps.require_operator(node, by)
    versions.check(version, node.version)
    node.floor_price_micro = floor_price_micro
    node.limit_lots = limit_lots
    latest = queries.latest_statement(node)
    if latest is not None and node.sellable_lots:
        record = messages.CapabilityRecord.model_validate(latest.claimed_record, strict=False)
        capabilities.apply_verdict(node=node, record=record, now=now)
    node.save()
    steps.announce([node])
    return node


@transaction.atomic
def set_shares(*, by: Membership, node: Node, shares: Mapping[int, int], version: str | None = None) -> None:
    """Divide the node's earnings: membership id -> basis points; with `version`, only if nobody has since.

    Raises: SharesRefused, NotYourNode, NotFound, versions.ChangedMeanwhile.
    """
    node = steps.lock(node)
    steps.require_operator(node, by)
    versions.check(version, queries.shares_version(node.pk))
    total = sum(shares.values())
    if total != queries.WHOLE_BP or any(bp <= 0 for bp in shares.values()):
        raise SharesRefused(
            _("found shares of %(total)s basis points; accepted are positive ones that sum to 10000", total=total)
        )
    known = Membership.objects.filter(
        pk__in=shares, cooperative_id=node.cooperative_id, left_at__isnull=True
    ).values_list("pk", flat=True)
    strangers = sorted(shares.keys() - set(known))
    if strangers:
        raise SharesRefused(
            _("found memberships %(strangers)s, which are not of this cooperative", strangers=strangers)
        )
    NodeShare.objects.filter(node=node).delete()
    NodeShare.objects.bulk_create(
        NodeShare(node=node, owner_id=owner_id, share_bp=bp) for owner_id, bp in sorted(shares.items())
    )
    steps.announce([node])
