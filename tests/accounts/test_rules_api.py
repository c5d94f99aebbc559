"""What stewards' sessions call about rules and credit, and that no token reaches either."""

from typing import get_args

import pytest
from django.test import Client

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.models import CreditIssue, PolicyVersion
from accounts.serializers import rules
from common import money
from ledger import queries as ledger


def path_of(membership, rest):
    return f"/api/v1/cooperatives/{membership.cooperative_id}/{rest}"


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def browser(membership):
    client = Client()
    client.force_login(membership.user)
    return client


def propose(client, membership, tag, **changes):
    document = {"rules": changes or {"spare_claims": 7}, "reason": "more patience"}
    headers = {"If-Match": tag} if tag else {}
    return client.post(path_of(membership, "policies"), document, "application/json", headers=headers)


def issue(client, membership, micro=5 * money.MICRO, to="treasury", **changes):
    document = {"to": to, "amount_micro": micro, "reason": "to begin with"} | changes
    return client.post(path_of(membership, "credit-issues"), document, "application/json")


def test_the_rules_of_the_api_are_those_of_the_rule_book():
    assert get_args(rules.RuleName) == policy.NAMES


def test_two_stewards_change_the_rules_that_everybody_can_read(bob, sam, alice):
    tag = browser(bob).get(path_of(bob, "policies/current"))["ETag"]

    proposed = propose(browser(bob), bob, tag)
    adopted = browser(sam).post(path_of(bob, "policies/2/adopt"))
    read = browser(alice).get(path_of(bob, "policies/current")).json()
    listed = browser(alice).get(path_of(bob, "policies")).json()["policies"]

    assert (proposed.status_code, proposed.json()["policy"]["state"]) == (201, "PROPOSED")
    assert proposed.json()["changes"] == [{"rule": "spare_claims", "before": 4, "after": 7}]
    assert (adopted.status_code, adopted.json()["policy"]["adopted_by"]) == (200, "Sam")
    assert (read["policy"]["number"], read["rules"]["spare_claims"]) == (2, 7)
    assert [(each["number"], each["state"]) for each in listed] == [(2, "IN_FORCE"), (1, "REPLACED")]
    assert adopted["ETag"] == read["version"] != tag


def test_a_proposal_against_rules_that_are_gone_is_refused(bob, sam):
    tag = browser(bob).get(path_of(bob, "policies/current"))["ETag"]
    propose(browser(bob), bob, tag)
    browser(sam).post(path_of(bob, "policies/2/adopt"))

    late = propose(browser(bob), bob, tag, quarantine_window=12)

    assert refusal(late) == (412, "changed_meanwhile")
    assert refusal(propose(browser(bob), bob, None)) == (428, "version_required")
    assert PolicyVersion.objects.filter(cooperative=bob.cooperative).count() == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"operator_bp": 8000}, (422, "policy_refused")),
        ({"spare_claims": 101}, (422, "policy_refused")),
        ({"spare_claims": 4}, (409, "nothing_changes")),
        ({"spare_claims": -1}, (422, "invalid_message")),
        ({"spare_claims": 1.5}, (422, "invalid_message")),
        ({"spare_claims": True}, (422, "invalid_message")),
        ({"free_beer": 1}, (422, "invalid_message")),
    ],
)
def test_rules_that_cannot_be_are_refused(bob, changes, expected):
    assert refusal(propose(browser(bob), bob, "*", **changes)) == expected
    assert queries.policy_history(bob.cooperative_id).count() == 1


def test_nobody_adopts_what_they_proposed(bob):
    propose(browser(bob), bob, "*")

    assert refusal(browser(bob).post(path_of(bob, "policies/2/adopt"))) == (409, "second_steward_needed")
    assert queries.current_policy(bob.cooperative_id)[0] == 1


def test_no_token_proposes_adopts_or_issues(program, bob, sam):
    propose(browser(bob), bob, "*")
    wish = accounts.propose_credit_issue(
        by=bob, to_address=sam.wallet, amount_micro=20_000 * money.MICRO, reason="much", now=bob.joined_at
    )
    his = program(sam)

    for answer in (
        propose(his, sam, "*", quarantine_window=12),
        his.post(path_of(sam, "policies/2/adopt")),
        issue(his, sam),
        his.post(path_of(sam, f"credit-issues/{wish.pk}/approve")),
        his.post(path_of(sam, f"credit-issues/{wish.pk}/refuse"), {}, "application/json"),
    ):
        assert refusal(answer) == (403, "scope_not_granted")
    assert queries.current_policy(bob.cooperative_id)[0] == 1
    assert CreditIssue.objects.get().state == "PROPOSED"


@pytest.mark.parametrize("who", ["alice", "olga", "charlie"])
def test_members_and_outsiders_decide_nothing(request, bob, who):
    propose(browser(bob), bob, "*")
    theirs = browser(request.getfixturevalue(who))
    expected = (404, "not_found") if who == "charlie" else (403, "role_required")

    assert refusal(propose(theirs, bob, "*", quarantine_window=12)) == expected
    assert refusal(theirs.post(path_of(bob, "policies/2/adopt"))) == expected
    assert refusal(issue(theirs, bob)) == expected
    assert ledger.balance(f"coop:{bob.cooperative_id}:treasury") == 0


def test_a_little_credit_is_issued_at_once_and_much_waits_for_a_second_steward(bob, sam, alice):
    little = issue(browser(bob), bob)
    much = issue(browser(bob), bob, micro=20_000 * money.MICRO, to=alice.pk)
    own = browser(bob).post(path_of(bob, f"credit-issues/{much.json()['id']}/approve"))
    waiting = browser(alice).get(path_of(bob, "credit-issues"), {"state": "PROPOSED"}).json()["credit_issues"]
    approved = browser(sam).post(path_of(bob, f"credit-issues/{much.json()['id']}/approve"))

    assert (little.status_code, little.json()["state"]) == (201, "ISSUED")
    assert (much.status_code, much.json()["state"], much.json()["needs_second_steward"]) == (201, "PROPOSED", True)
    assert refusal(own) == (409, "second_steward_needed")
    assert [each["id"] for each in waiting] == [much.json()["id"]]
    assert (approved.json()["state"], approved.json()["decided_by"]) == ("ISSUED", "Sam")
    assert ledger.balance(alice.wallet) == 20_000 * money.MICRO


def test_a_wish_is_withdrawn_once(bob):
    wish = issue(browser(bob), bob, micro=20_000 * money.MICRO).json()["id"]

    first, second = (
        browser(bob).post(path_of(bob, f"credit-issues/{wish}/refuse"), {"reason": "a slip"}, "application/json")
        for _ in range(2)
    )

    assert (first.status_code, first.json()["state"]) == (200, "REFUSED")
    assert refusal(second) == (409, "credit_issue_already_decided")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": "issuance"}, (422, "invalid_message")),
        ({"to": "coop:1:treasury"}, (422, "invalid_message")),
        ({"to": 10**12}, (404, "not_found")),
        ({"micro": 0}, (422, "invalid_message")),
        ({"micro": 2_000_000 * money.MICRO}, (409, "issuance_limit_reached")),
        ({"reason": "  "}, (422, "credit_issue_refused")),
    ],
)
def test_credit_that_cannot_be_issued_moves_nothing(bob, changes, expected):
    assert refusal(issue(browser(bob), bob, **changes)) == expected
    assert not CreditIssue.objects.exists()


def test_an_issue_that_is_sent_again_issues_once(bob):
    client, document = browser(bob), {"to": "treasury", "amount_micro": 7, "reason": "once"}

    for _ in range(2):
        client.post(
            path_of(bob, "credit-issues"), document, "application/json", headers={"Idempotency-Key": "only once"}
        )

    assert ledger.balance(f"coop:{bob.cooperative_id}:treasury") == 7


def test_wishes_and_versions_of_another_cooperative_do_not_exist(bob, charlie):
    wish = issue(browser(charlie), charlie, micro=20_000 * money.MICRO).json()["id"]

    assert refusal(browser(bob).post(path_of(bob, f"credit-issues/{wish}/approve"))) == (404, "not_found")
    assert refusal(browser(bob).get(path_of(charlie, "policies"))) == (404, "not_found")
    assert refusal(browser(bob).get(path_of(bob, "policies/99"))) == (404, "not_found")


@pytest.mark.parametrize("many", [1, 3])
def test_lists_ask_as_many_questions_for_three_as_for_one(program, bob, many, django_assert_num_queries):
    for number in range(many):
        propose(browser(bob), bob, "*", spare_claims=10 + number)
        issue(browser(bob), bob)
    his = program(bob)
    his.get("/api/v1/me")

    for rest in ("policies", "credit-issues"):
        with django_assert_num_queries(6 if rest == "policies" else 5):
            assert len(his.get(path_of(bob, rest)).json().popitem()) == 2
