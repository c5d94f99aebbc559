"""The cooperative of the story: two stewards, a member with a job, a model owner, three strangers with machines."""

from dataclasses import dataclass, replace
from datetime import datetime

from accounts import queries
from accounts import services as accounts
from accounts.models import Cooperative, Membership, User
from common.money import MICRO
from nodes import services as nodes

PASSWORD = "sunny-grid-2026"  # the demo prints it; nothing but the demo's own people uses it
MEMBER_CREDIT_MICRO = 50 * MICRO
ASSURANCE_CREDIT_MICRO = 20 * MICRO


@dataclass(frozen=True)
class People:
    """Everybody in the story, by what they do."""

    cooperative: Cooperative
    steward: Membership
    second_steward: Membership
    member: Membership
    publisher: Membership
    operators: tuple[Membership, Membership, Membership]
    """The third one's machine lies."""


def found(*, now: datetime, is_checked: bool) -> People:
    """Found the cooperative through the same services as its pages do. Without checks there is no probation."""
    ada = _person("ada@example.org", "Ada")
    cooperative = accounts.found_cooperative(name="Riverside Grid", slug="riverside", founder=ada, now=now)
    steward = cooperative.memberships.get(user=ada)
    second = _join(steward, "ben@example.org", "Ben", ["MEMBER", "STEWARD"], now)
    member = _join(steward, "mia@example.org", "Mia", ["MEMBER"], now)
    publisher = _join(steward, "zoe@example.org", "Zoe", ["MEMBER"], now)
    operators = (
        _join(steward, "olga@example.org", "Olga", ["MEMBER", "OPERATOR"], now),
        _join(steward, "pavel@example.org", "Pavel", ["MEMBER", "OPERATOR"], now),
        _join(steward, "lou@example.org", "Lou", ["MEMBER", "OPERATOR"], now),
    )
    for address, amount, reason in (
        (member.wallet, MEMBER_CREDIT_MICRO, "first credit for a new member"),
        (f"coop:{cooperative.pk}:assurance", ASSURANCE_CREDIT_MICRO, "to pay for the first checks"),
    ):
        accounts.propose_credit_issue(by=steward, to_address=address, amount_micro=amount, reason=reason, now=now)
    _change_rules(steward, second, reason="whoever wants to join may ask", join_requests_open=1)
    if not is_checked:
        _change_rules(steward, second, reason="control run without checks", probation_validations=0)
    return People(cooperative, steward, second, member, publisher, operators)


def join_token(operator: Membership, *, name: str, price_micro: int, now: datetime) -> str:
    """A one-time token with which `operator`'s machine joins, one lot at `price_micro` per hour."""
    _, token = nodes.create_join_token(
        membership=operator,
        floor_price_micro=price_micro,
        limit_lots=1,
        node_name=name,
        tier="COMMUNITY",
        zone="riverside",
        now=now,
    )
    return token


def api_token(membership: Membership, scopes: list[str], *, now: datetime) -> str:
    """A token for the member's programs."""
    _, secret = accounts.issue_api_token(membership=membership, name="demo", scopes=scopes, now=now)
    return secret


def _person(email: str, name: str) -> User:
    return accounts.create_person(email=email, password=PASSWORD, display_name=name)


def _join(steward: Membership, email: str, name: str, roles: list[str], now: datetime) -> Membership:
    _, token = accounts.invite(by=steward, roles=roles, email=email, now=now)
    return accounts.accept_invitation(token=token, user=_person(email, name), now=now)


def _change_rules(steward: Membership, second: Membership, *, reason: str, **changes: int) -> None:
    """A change that one steward proposes and the other adopts."""
    _, rules = queries.current_policy(steward.cooperative_id)
    version = accounts.propose_policy(by=steward, rules=replace(rules, **changes), reason=reason)
    accounts.adopt_policy(by=second, version=version)
