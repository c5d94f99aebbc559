"""How a machine becomes a node: a one-time token of its owner, exchanged for its own key."""

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.core import roles
from accounts.models import Membership
from common.errors import AppError, Conflict, Invalid
from common.words import said as _
from nodes.core import reasons
from nodes.models import JoinToken, Node, NodeShare
from nodes.queries import WHOLE_BP
from nodes.services import steps
from opengrid import digests, keys, messages

TOKEN_LIFETIME: Final = timedelta(hours=24)
TOKEN_PREFIX: Final = "cgj_"  # noqa: S105 (how a token begins, not one)


class JoinRefused(AppError):
    """The token opens nothing: it is unknown, has expired, or its owner may no longer add nodes."""

    code = "join_token_refused"
    status = 403
    title = _("This join token is not accepted")


class JoinTokenUsed(Conflict):
    """The token has already made another machine a node."""

    code = "join_token_used"
    title = _("This join token has been used")


class JoinProofInvalid(Invalid):
    """The signature over the token was not made with the key that wants to join."""

    code = "join_proof_invalid"
    title = _("The proof does not fit the key")


class NodeKeyInUse(Conflict):
    """The key already belongs to a node; a second node needs a key of its own."""

    code = "node_key_in_use"
    title = _("This key already belongs to a node")


class TermsInvalid(Invalid):
    """The terms a node would be offered on are outside their range."""

    code = "node_terms_invalid"
    title = _("These terms cannot be accepted")


@transaction.atomic
def create_join_token(
    *,
    membership: Membership,
    floor_price_micro: int,
    limit_lots: int | None = None,
    node_name: str = "",
    tier: str = Node.Tier.COMMUNITY,
    zone: str = "",
    now: datetime,
) -> tuple[JoinToken, str]:
    """A token for one machine, valid TOKEN_LIFETIME, and its secret, which is shown this once.

    `floor_price_micro` is micro-credits per unit-hour.
    Raises: accounts.NotAllowed, TermsInvalid.
    """
    accounts.require(membership, "nodes.add")
    check_terms(floor_price_micro=floor_price_micro, limit_lots=limit_lots)
    if tier not in Node.Tier.values:
        raise TermsInvalid(
            _(
                "found the tier %(tier)s; accepted are %(values)s",
                tier=repr(tier[:40]),
                values=", ".join(Node.Tier.values),
            )
        )
    if len(node_name) > 100 or len(zone) > 40:
        raise TermsInvalid(_("a name has at most 100 characters, a zone at most 40"))
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = JoinToken.objects.create(
        membership=membership,
        digest=digests.of_bytes(secret.encode()),
        node_name=node_name,
        tier=tier,
        zone=zone,
        floor_price_micro=floor_price_micro,
        limit_lots=limit_lots,
        created_at=now,
        expires_at=now + TOKEN_LIFETIME,
    )
    return token, secret


def join(*, request: messages.JoinRequest, now: datetime) -> Node:
    """Make the holder of the key a node on the token's terms; a repeat by the same key returns it.

    1. The key's holder signed the token. 2. The token is known and its owner may add nodes.
    3. The node is created and the token used up in one transaction: of two machines one wins.
    Raises: JoinProofInvalid, JoinRefused, JoinTokenUsed, NodeKeyInUse.
    """
    try:
        keys.verify_join_proof(request.public_key, request.token, request.proof)
    except (keys.BadSignature, keys.BadKey) as error:
        raise JoinProofInvalid(error.message) from error
    token = _find_token(request.token)
    try:
        return _joined_before(token, request.public_key) or _create_node(token, request, now)
    except IntegrityError as error:
        token.refresh_from_db()
        joined = _joined_before(token, request.public_key)
        if joined is not None:
            return joined
        if Node.objects.filter(public_key=request.public_key).exists():
            raise NodeKeyInUse(_("make a new key for this machine, or retire the node that has it")) from error
        raise


def may_add_nodes(membership: Membership) -> bool:
    """Whether the member still belongs to the cooperative in a role that adds nodes."""
    return membership.left_at is None and roles.may(membership.roles, "nodes.add")


def check_terms(*, floor_price_micro: int, limit_lots: int | None) -> None:
    """Raises: TermsInvalid for a price or a limit that no column could hold or no node could meet."""
    if not 0 <= floor_price_micro <= 2**53:
        raise TermsInvalid(
            _(
                "found a floor of %(floor_price_micro)s; accepted is 0 to 2**53 micro-credits",
                floor_price_micro=floor_price_micro,
            )
        )
    if limit_lots is not None and not 1 <= limit_lots <= 1_000_000:
        raise TermsInvalid(
            _("found a limit of %(limit_lots)s lots; accepted is 1 to 1000000, or no limit", limit_lots=limit_lots)
        )


def _find_token(secret: str) -> JoinToken:
    tokens = JoinToken.objects.select_related("membership", "used_by")
    token = tokens.filter(digest=digests.of_bytes(secret.encode())).first()
    if token is None:
        raise JoinRefused(_("this coordinator has issued no such join token"))
    if not may_add_nodes(token.membership):
        raise JoinRefused(_("the member who issued this token may no longer add nodes"))
    return token


def _joined_before(token: JoinToken, public_key: str) -> Node | None:
    """The node this very key has become with this very token, if its reply was lost."""
    node = token.used_by
    return node if node is not None and node.public_key == public_key else None


@transaction.atomic
def _create_node(token: JoinToken, request: messages.JoinRequest, now: datetime) -> Node:
    node = Node.objects.create(
        cooperative_id=token.membership.cooperative_id,
        operator=token.membership,
        name=token.node_name or request.name,
        public_key=request.public_key,
        tier=token.tier,
        zone=token.zone,
        floor_price_micro=token.floor_price_micro,
        limit_lots=token.limit_lots,
        agent_version=request.agent_version,
        state_reason=reasons.JOINED,
        joined_at=now,
        last_seen_at=now,
    )
    NodeShare.objects.create(node=node, owner=token.membership, share_bp=WHOLE_BP)
    unused = JoinToken.objects.filter(pk=token.pk, used_at__isnull=True, expires_at__gt=now)
    if not unused.update(used_by=node, used_at=now):
        raise _refusal(token)
    steps.note(node=node, reason=reasons.JOINED, now=now, by=token.membership)
    return node


def _refusal(token: JoinToken) -> AppError:
    token.refresh_from_db()
    if token.used_at is not None:
        return JoinTokenUsed(_("each machine needs a join token of its own"))
    return JoinRefused(
        _(
            "the join token expired at %(expires_at)s; ask its owner for a new one",
            expires_at=messages.timestamp(token.expires_at),
        ),
        extra={"expired_at": messages.timestamp(token.expires_at)},
    )
