"""The audit trail: every act of a steward leaves a row with it, or neither is there; rows never change."""

import dataclasses

import pytest
from django.db import DatabaseError, connection, transaction

from accounts import queries
from accounts import services as accounts
from accounts.core import roles
from accounts.models import JoinRequest, StewardAct
from common.errors import NotFound
from nodes import services as nodes
from nodes.core import reasons
from registry import services as registry
from tests.dashboard import scenes
from tests.nodes import agents

Act = StewardAct.Act


def _quarantine(bob, sam, alice, now):
    node = agents.working(bob, now, node_name="shed")
    nodes.quarantine(node=node, reason=reasons.QUARANTINED_BY_STEWARD, by=sam, now=now, detail="wrong sums")
    nodes.release_from_quarantine(node=node, reason=reasons.RELEASED_BY_STEWARD, by=sam, now=now, detail="repaired")


def _validator(bob, sam, alice, now):
    node = agents.working(bob, now, node_name="shed")
    nodes.name_validator(by=sam, node=node, is_validator=True, now=now)
    nodes.name_validator(by=sam, node=node, is_validator=False, now=now)


def _invite(bob, sam, alice, now):
    invitation, _token = accounts.invite(by=sam, roles=["MEMBER"], email="mia@example.org", now=now)
    accounts.revoke_invitation(by=sam, invitation=invitation, now=now)
    dora, eve = (accounts.create_person(email=f"{name}@example.org", password="correct horse") for name in "de")
    for person in (dora, eve):
        JoinRequest.objects.create(cooperative=sam.cooperative, user=person, message="hello")
    accounts.accept_request(by=sam, request=dora.join_requests.get(), now=now)
    accounts.decline_request(by=sam, request=eve.join_requests.get(), reason="unknown", now=now)


def _members(bob, sam, alice, now):
    accounts.set_roles(by=sam, membership=alice, roles=["MEMBER", "OPERATOR"], reason="has a machine now")
    accounts.leave(membership=alice, by=sam, now=now, reason="asked by mail")


def _rules(bob):
    _number, rules = queries.current_policy(bob.cooperative_id)
    return dataclasses.replace(rules, probation_validations=rules.probation_validations + 1)


def _propose_policy(bob, sam, alice, now):
    accounts.propose_policy(by=sam, rules=_rules(bob), reason="more care")


def _adopt_policy(bob, sam, alice, now):
    version = accounts.propose_policy(by=bob, rules=_rules(bob), reason="more care")
    accounts.adopt_policy(by=sam, version=version)


def _credit(bob, sam, alice, now):
    large = {"to_address": alice.wallet, "amount_micro": 20_000 * 1_000_000, "now": now}
    accounts.propose_credit_issue(by=sam, to_address=alice.wallet, amount_micro=1_000_000, reason="welcome", now=now)
    accounts.approve_credit_issue(
        by=sam, issue=accounts.propose_credit_issue(by=bob, reason="a year", **large), now=now
    )
    accounts.refuse_credit_issue(
        by=sam, issue=accounts.propose_credit_issue(by=bob, reason="again", **large), now=now, reason="too much"
    )


def _withdraw(bob, sam, alice, now):
    version = scenes.a_model_version(bob, now)
    registry.withdraw_version_for_cooperative(by=sam, version=version, reason="licence was not theirs", now=now)


ACTS = {
    "nodes.quarantine": (_quarantine, [Act.QUARANTINE_NODE, Act.RELEASE_NODE]),
    "nodes.validate": (_validator, [Act.NAME_VALIDATOR, Act.END_VALIDATOR]),
    "members.invite": (
        _invite,
        [Act.INVITE, Act.REVOKE_INVITATION, Act.ACCEPT_JOIN_REQUEST, Act.DECLINE_JOIN_REQUEST],
    ),
    "members.roles": (_members, [Act.SET_ROLES, Act.END_MEMBERSHIP]),
    "policy.propose": (_propose_policy, [Act.PROPOSE_POLICY]),
    "policy.adopt": (_adopt_policy, [Act.ADOPT_POLICY]),
    "credit.issue": (_credit, [Act.PROPOSE_CREDIT, Act.ISSUE_CREDIT, Act.ISSUE_CREDIT, Act.REFUSE_CREDIT]),
    "models.withdraw": (_withdraw, [Act.WITHDRAW_VERSION]),
}
"""Permission of stewards alone -> what uses it, and the rows that Sam's acts leave."""
READS = {"console.view"}


def test_every_permission_that_only_stewards_have_is_walked_below():
    only_stewards = {name for name, allowed in roles.PERMISSIONS.items() if allowed == {roles.STEWARD}}

    assert set(ACTS) == only_stewards - READS
    assert {act for _deed, acts in ACTS.values() for act in acts} == set(Act)


@pytest.mark.parametrize("permission", sorted(ACTS))
def test_a_stewards_act_leaves_a_row(permission, bob, sam, alice, now):
    deed, expected = ACTS[permission]

    deed(bob, sam, alice, now)

    rows = StewardAct.objects.filter(by=sam).order_by("pk")
    assert [row.act for row in rows] == expected
    assert all(row.cooperative_id == sam.cooperative_id and row.subject_id and row.subject_kind for row in rows)
    assert all(row.before != row.after for row in rows)


def test_a_row_says_what_changed_and_why(sam, alice):
    accounts.set_roles(by=sam, membership=alice, roles=["MEMBER", "OPERATOR"], reason="has a machine now")

    row = StewardAct.objects.get()
    assert (row.before, row.after) == ({"roles": ["MEMBER"]}, {"roles": ["MEMBER", "OPERATOR"]})
    assert (row.subject_kind, row.subject_id, row.reason) == ("membership", alice.pk, "has a machine now")


def test_what_changes_nothing_leaves_no_row(sam, alice):
    accounts.set_roles(by=sam, membership=alice, roles=["MEMBER"])

    assert not StewardAct.objects.exists()


def test_what_is_refused_leaves_no_row(bob, sam, alice, now):
    accounts.leave(membership=sam, now=now)

    with pytest.raises(accounts.LastSteward):
        accounts.set_roles(by=bob, membership=bob, roles=["MEMBER"])

    assert not StewardAct.objects.exists()


def test_whoever_leaves_alone_and_whoever_withdraws_an_own_version_is_no_steward_at_work(bob, sam, alice, now):
    accounts.leave(membership=alice, now=now)
    registry.withdraw_version(by=bob, version=scenes.a_model_version(bob, now), now=now)

    assert not StewardAct.objects.exists()


def test_a_steward_withdraws_only_for_a_reason(bob, sam, alice, charlie, now):
    version = scenes.a_model_version(bob, now)

    for by, reason, refusal in (
        (sam, "  ", accounts.ReasonNeeded),
        (alice, "because", accounts.NotAllowed),
        (charlie, "because", NotFound),
    ):
        with pytest.raises(refusal):
            registry.withdraw_version_for_cooperative(by=by, version=version, reason=reason, now=now)

    version.refresh_from_db()
    assert version.withdrawn_at is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_stewardact SET reason = 'nothing happened'",
        "DELETE FROM accounts_stewardact",
        "TRUNCATE accounts_stewardact",
    ],
)
def test_the_trail_is_append_only(statement, sam, alice):
    accounts.set_roles(by=sam, membership=alice, roles=["OPERATOR"])

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {statement}")

    assert StewardAct.objects.get().reason == ""
