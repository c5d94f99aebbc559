"""People, machines and work to measure with, made through the services; bulk is copied inside PostgreSQL."""

import functools
import itertools
from dataclasses import dataclass, replace
from datetime import timedelta

from accounts import queries as account_queries
from accounts import services as accounts
from accounts.models import Cooperative, Membership, User
from common.clock import database_now
from common.money import MICRO
from marketplace import services as market
from nodes.models import Node
from opengrid import keys

PASSWORD = "sunny-grid-2026"
CREDIT_MICRO = 9_000 * MICRO
PRICE_MICRO = 360_000
FAR_AWAY_SECONDS = 86_400
_numbers = itertools.count(1)


@dataclass(frozen=True)
class People:
    """A cooperative without probation, with two stewards."""

    cooperative: Cooperative
    steward: Membership
    second_steward: Membership

    def member(self, *, roles: tuple[str, ...] = ("MEMBER", "OPERATOR")) -> Membership:
        """Somebody new."""
        user = User.objects.create(email=f"member-{next(_numbers)}@example.org", display_name="A member")
        return Membership.objects.create(cooperative=self.cooperative, user=user, roles=list(roles))

    def credit(self, member: Membership, micro: int = CREDIT_MICRO) -> None:
        """Issue credits to a member."""
        issue = accounts.propose_credit_issue(
            by=self.steward, to_address=member.wallet, amount_micro=micro, reason="a benchmark", now=database_now()
        )
        if issue.state == "PROPOSED":
            accounts.approve_credit_issue(by=self.second_steward, issue=issue, now=database_now())


@functools.cache
def people(slug: str) -> People:
    """The cooperative of one benchmark, so that none trades with another's machines."""
    now = database_now()
    founder = accounts.create_person(email=f"ada@{slug}.example.org", password=PASSWORD, display_name="Ada")
    cooperative = accounts.found_cooperative(name=f"Bench {slug}", slug=f"bench-{slug}", founder=founder, now=now)
    steward = cooperative.memberships.get(user=founder)
    found = People(cooperative, steward, steward)
    second = found.member(roles=("MEMBER", "STEWARD"))
    _, rules = account_queries.current_policy(cooperative.pk)
    version = accounts.propose_policy(
        by=steward, rules=replace(rules, probation_validations=0), reason="trusted machines are measured"
    )
    accounts.adopt_policy(by=second, version=version)
    return replace(found, second_steward=second)


@dataclass(frozen=True)
class Machine:
    """A node and its key."""

    node_id: int
    key: keys.PrivateKey


def machine(operator: Membership, *, lots: int) -> Machine:
    """A trusted node with a standing offer, heard of for a day to come."""
    key = keys.PrivateKey.generate()
    node = Node.objects.create(
        cooperative=operator.cooperative,
        operator=operator,
        name=f"node-{next(_numbers)}",
        public_key=key.public_text,
        state="ACTIVE",
        validated_in_a_row=10,
        sellable_lots=lots,
        floor_price_micro=0,
        memory_mib=2048 * lots,
        disk_mib=10_000 * lots,
        runners=["python", "onnx"],
    )
    hear_of_all()
    market.keep_standing_offer(node=node, lots=lots, price_micro=PRICE_MICRO)
    return Machine(node.pk, key)


def hear_of_all() -> None:
    """No node goes dark while others are measured."""
    Node.objects.update(last_seen_at=database_now() + timedelta(seconds=FAR_AWAY_SECONDS))
