"""Issuing credit: alone up to the policy's limit, with a second steward beyond it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts import services as accounts
from accounts.core import policy
from accounts.models import CreditIssue
from common.errors import NotFound
from common.money import MICRO
from ledger import queries as ledger

ALONE = policy.Rules().issuance_second_steward_above_micro
LIMIT = policy.Rules().issuance_limit_micro


def _propose(by, to, now, micro=100 * MICRO, reason="first credit"):
    address = to if isinstance(to, str) else to.wallet
    return accounts.propose_credit_issue(by=by, to_address=address, amount_micro=micro, reason=reason, now=now)


def _issuance(cooperative_id):
    return ledger.balance(f"coop:{cooperative_id}:issuance")


def test_a_steward_alone_issues_a_small_amount_at_once(bob, alice, now):
    issue = _propose(bob, alice, now)

    assert (issue.state, issue.needs_second_steward, issue.decided_by) == ("ISSUED", False, bob)
    assert ledger.balance(alice.wallet) == 100 * MICRO
    assert _issuance(bob.cooperative_id) == -100 * MICRO
    assert {(e.address, e.amount_micro) for e in ledger.postings_of(f"issue:{issue.pk}")} == {
        (alice.wallet, 100 * MICRO),
        (f"coop:{bob.cooperative_id}:issuance", -100 * MICRO),
    }


@pytest.mark.parametrize("fund", ["treasury", "assurance"])
def test_funds_of_the_cooperative_can_be_endowed(bob, now, fund):
    _propose(bob, f"coop:{bob.cooperative_id}:{fund}", now)

    assert ledger.balance(f"coop:{bob.cooperative_id}:{fund}") == 100 * MICRO


def test_more_than_one_steward_may_issue_waits_for_a_second(bob, sam, alice, now):
    issue = _propose(bob, alice, now, micro=ALONE + 1)

    assert (issue.state, issue.needs_second_steward) == ("PROPOSED", True)
    assert ledger.balance(alice.wallet) == 0

    accounts.approve_credit_issue(by=sam, issue=issue, now=now)

    assert ledger.balance(alice.wallet) == ALONE + 1
    issue.refresh_from_db()
    assert (issue.state, issue.decided_by, issue.decided_at) == ("ISSUED", sam, now)


def test_many_small_issues_are_no_way_around_the_second_steward(bob, alice, now):
    _propose(bob, alice, now, micro=ALONE)

    second = _propose(bob, alice, now + timedelta(hours=23), micro=1)
    next_day = _propose(bob, alice, now + timedelta(hours=24), micro=1)

    assert (second.state, next_day.state) == ("PROPOSED", "ISSUED")
    assert ledger.balance(alice.wallet) == ALONE + 1


def test_the_proposer_cannot_approve(bob, alice, now):
    issue = _propose(bob, alice, now, micro=ALONE + 1)

    with pytest.raises(accounts.SecondStewardNeeded):
        accounts.approve_credit_issue(by=bob, issue=issue, now=now)

    assert ledger.balance(alice.wallet) == 0
    assert CreditIssue.objects.get().state == "PROPOSED"


def test_what_is_decided_stays_decided(bob, sam, alice, now):
    issue = _propose(bob, alice, now, micro=ALONE + 1)
    accounts.approve_credit_issue(by=sam, issue=issue, now=now)

    with pytest.raises(accounts.AlreadyDecided):
        accounts.approve_credit_issue(by=sam, issue=issue, now=now)
    with pytest.raises(accounts.AlreadyDecided):
        accounts.refuse_credit_issue(by=sam, issue=issue, now=now)

    assert ledger.balance(alice.wallet) == ALONE + 1


@pytest.mark.parametrize("who", ["bob", "sam"])
def test_a_second_steward_refuses_and_the_proposer_withdraws(request, bob, alice, now, who):
    issue = _propose(bob, alice, now, micro=ALONE + 1)

    accounts.refuse_credit_issue(by=request.getfixturevalue(who), issue=issue, now=now)

    assert CreditIssue.objects.get().state == "REFUSED"
    assert ledger.balance(alice.wallet) == 0


@pytest.mark.parametrize(("who", "error"), [("olga", accounts.NotAllowed), ("charlie", NotFound)])
def test_members_may_not_decide_and_outsiders_see_nothing(request, bob, alice, now, who, error):
    issue = _propose(bob, alice, now, micro=ALONE + 1)
    by = request.getfixturevalue(who)

    for act in (accounts.approve_credit_issue, accounts.refuse_credit_issue):
        with pytest.raises(error):
            act(by=by, issue=issue, now=now)

    assert CreditIssue.objects.get().state == "PROPOSED"
    assert ledger.balance(alice.wallet) == 0


def test_a_member_cannot_issue(alice, now):
    with pytest.raises(accounts.NotAllowed):
        _propose(alice, alice, now)

    assert not CreditIssue.objects.exists()
    assert ledger.balance(alice.wallet) == 0


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"micro": 0}, "amount_micro"), ({"micro": -1}, "amount_micro"), ({"reason": " "}, "reason")],
)
def test_amounts_and_reasons_that_make_no_sense_are_refused(bob, alice, now, changed, field):
    with pytest.raises(accounts.IssueRefused) as refused:
        _propose(bob, alice, now, **changed)

    assert refused.value.extra["field"] == field
    assert not CreditIssue.objects.exists()


def test_credit_goes_nowhere_outside_the_cooperative(bob, charlie, now):
    own = bob.cooperative_id
    elsewhere = [
        charlie.wallet,
        f"coop:{charlie.cooperative_id}:treasury",
        f"coop:{own}:issuance",
        f"coop:{own}:reserve",
        f"coop:{own}:member:0{bob.pk}",
        "hold:job:1",
        "",
    ]

    for address in elsewhere:
        with pytest.raises(accounts.IssueRefused) as refused:
            _propose(bob, address, now)
        assert refused.value.extra["field"] == "to_address"

    assert not CreditIssue.objects.exists()
    assert _issuance(own) == 0


def test_whoever_left_before_the_approval_gets_nothing(bob, sam, alice, now):
    issue = _propose(bob, alice, now, micro=ALONE + 1)
    accounts.leave(membership=alice, now=now)

    with pytest.raises(accounts.IssueRefused):
        accounts.approve_credit_issue(by=sam, issue=issue, now=now)

    assert ledger.balance(alice.wallet) == 0


def test_no_more_than_the_limit_can_be_outstanding(bob, sam, alice, now):
    accounts.approve_credit_issue(by=sam, issue=_propose(bob, alice, now, micro=LIMIT - 5), now=now)

    with pytest.raises(accounts.IssuanceLimitReached) as refused:
        _propose(bob, alice, now + timedelta(days=2), micro=6)

    assert refused.value.extra["available_micro"] == 5
    assert _issuance(bob.cooperative_id) == -(LIMIT - 5)


def test_the_limit_is_checked_again_at_the_approval(bob, sam, alice, now):
    first = _propose(bob, alice, now, micro=LIMIT)
    second = _propose(bob, alice, now, micro=LIMIT)
    accounts.approve_credit_issue(by=sam, issue=first, now=now)

    with pytest.raises(accounts.IssuanceLimitReached):
        accounts.approve_credit_issue(by=sam, issue=second, now=now)

    assert _issuance(bob.cooperative_id) == -LIMIT
    second.refresh_from_db()
    assert second.state == "PROPOSED"


def test_an_adopted_policy_moves_the_line_at_once(bob, sam, alice, now):
    stricter = replace(policy.Rules(), issuance_second_steward_above_micro=0)
    accounts.adopt_policy(by=sam, version=accounts.propose_policy(by=bob, rules=stricter, reason="two always"))

    assert _propose(bob, alice, now, micro=1).state == "PROPOSED"


@pytest.mark.django_db(transaction=True)
def test_of_two_approvals_at_once_one_moves_the_credit(bob, sam, olga, alice, now, overlapping):
    accounts.set_roles(by=bob, membership=olga, roles=["STEWARD"])
    issue = _propose(bob, alice, now, micro=ALONE + 1)

    _, second = overlapping(
        lambda: accounts.approve_credit_issue(by=sam, issue=issue, now=now),
        lambda: accounts.approve_credit_issue(by=olga, issue=issue, now=now),
    )

    assert isinstance(second, accounts.AlreadyDecided)
    assert ledger.balance(alice.wallet) == ALONE + 1


@pytest.mark.django_db(transaction=True)
def test_two_issues_at_once_do_not_pass_the_line_of_one_steward(bob, sam, alice, now, overlapping):
    first, second = overlapping(
        lambda: _propose(bob, alice, now, micro=ALONE),
        lambda: _propose(sam, alice, now, micro=ALONE),
    )

    assert (first.state, second.state) == ("ISSUED", "PROPOSED")
    assert ledger.balance(alice.wallet) == ALONE
