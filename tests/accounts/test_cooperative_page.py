"""The page of the cooperative and what its buttons do, for those who may and those who may not."""

import re
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services as accounts
from accounts.core import policy
from accounts.models import CreditIssue, Invitation, Membership
from common.clock import database_now
from ledger import queries as ledger

ALONE = policy.Rules().issuance_second_steward_above_micro


@pytest.fixture
def pending(bob, alice):
    return accounts.propose_credit_issue(
        by=bob, to_address=alice.wallet, amount_micro=ALONE + 1, reason="a lot", now=database_now()
    )


def test_a_member_sees_members_funds_and_rules_but_no_forms(signed_in, bob, alice):
    text = signed_in(alice).get(reverse("cooperative")).content.decode()

    assert "Riverside" in text
    assert "2 members" in text
    assert f"coop:{alice.cooperative_id}:treasury" in text
    assert "85.00 %" in text
    assert reverse("create-invitation") not in text
    assert reverse("propose-credit-issue") not in text
    assert reverse("propose-policy") not in text
    assert "@example.org" not in text


def test_the_number_of_queries_does_not_grow_with_members_links_issues_and_proposals(
    signed_in, request, bob, now, django_assert_num_queries
):
    browser = signed_in(bob)
    _fill(bob, request.getfixturevalue("alice"), now)
    browser.get(reverse("cooperative"))
    with CaptureQueriesContext(connection) as few:
        browser.get(reverse("cooperative"))

    for name in ("olga", "sam"):
        _fill(bob, request.getfixturevalue(name), now)

    with django_assert_num_queries(len(few)):
        browser.get(reverse("cooperative"))


def _fill(bob, member, now):
    accounts.invite(by=bob, roles=["MEMBER"], now=now)
    accounts.propose_credit_issue(by=bob, to_address=member.wallet, amount_micro=1, reason="x", now=now)
    accounts.propose_policy(by=bob, rules=replace(policy.Rules(), spare_claims=member.pk % 90 + 5), reason="x")


def test_an_invitation_link_is_shown_once(signed_in, bob):
    browser = signed_in(bob)

    made = browser.post(reverse("create-invitation"), {"roles": ["MEMBER"], "email": ""})

    link = re.search(r'id="invitation-link">(\S+?)<', made.content.decode())[1]
    assert "no-store" in made["Cache-Control"]
    assert browser.get(link).status_code == 200
    again = browser.get(reverse("cooperative")).content.decode()
    assert link not in again
    assert reverse("revoke-invitation", args=[Invitation.objects.get().pk]) in again


def test_an_invitation_without_a_role_is_refused_at_the_field(signed_in, bob):
    response = signed_in(bob).post(reverse("create-invitation"), {"email": "x"})

    assert response.status_code == 422
    assert set(response.context["invite_form"].errors) == {"roles", "email"}
    assert not Invitation.objects.exists()


def test_a_link_is_taken_back(signed_in, bob, invitation):
    signed_in(bob).post(reverse("revoke-invitation", args=[invitation[0].pk]))

    assert Invitation.objects.get().revoked_at is not None


def test_roles_are_changed(signed_in, bob, alice):
    page = reverse("member-roles", args=[alice.pk])
    browser = signed_in(bob)
    assert "Roles of Alice" in browser.get(page).content.decode()

    response = browser.post(page, {"roles": ["MEMBER", "AUDITOR"]})

    assert response["Location"] == reverse("cooperative")
    alice.refresh_from_db()
    assert alice.roles == ["MEMBER", "AUDITOR"]


def test_the_last_steward_reads_why_not(signed_in, bob, alice):
    response = signed_in(bob).post(reverse("member-roles", args=[bob.pk]), {"roles": ["MEMBER"]})

    assert response.status_code == 422
    assert "make another member a steward first" in response.content.decode()
    bob.refresh_from_db()
    assert "STEWARD" in bob.roles


def test_a_member_leaves(signed_in, bob, alice):
    browser = signed_in(alice)

    browser.post(reverse("end-membership", args=[alice.pk]))

    assert Membership.objects.get(pk=alice.pk).left_at is not None
    response = browser.get(reverse("cooperative"))
    assert response.status_code == 403
    assert "You belong to no cooperative yet" in response.content.decode()


def test_credit_is_issued(signed_in, bob, alice):
    response = signed_in(bob).post(
        reverse("propose-credit-issue"),
        {"to_address": alice.wallet, "amount_micro": "12.5", "reason": "welcome"},
    )

    assert response["Location"] == reverse("cooperative")
    assert ledger.balance(alice.wallet) == 12_500_000
    text = signed_in(bob).get(reverse("cooperative")).content.decode()
    assert "12.50" in text


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount_micro": "a lot"}, "amount_micro"),
        ({"amount_micro": "0.0000001"}, "amount_micro"),
        ({"amount_micro": "-1"}, "amount_micro"),
        ({"amount_micro": "1e99999999"}, "amount_micro"),
        ({"amount_micro": "9999999999999999"}, "amount_micro"),
        ({"amount_micro": "١٢"}, "amount_micro"),
        ({"to_address": "coop:1:issuance"}, "to_address"),
        ({"reason": ""}, "reason"),
    ],
)
def test_mistakes_stand_at_their_field_and_nothing_is_issued(signed_in, bob, alice, changed, field):
    form = {"to_address": alice.wallet, "amount_micro": "1", "reason": "welcome"} | changed

    response = signed_in(bob).post(reverse("propose-credit-issue"), form)

    assert response.status_code == 422
    assert list(response.context["credit_form"].errors) == [field]
    assert not CreditIssue.objects.exists()


def test_a_second_steward_approves(signed_in, pending, sam, alice):
    browser = signed_in(sam)
    approve = reverse("decide-credit-issue", args=[pending.pk, "approve"])
    assert approve in browser.get(reverse("cooperative")).content.decode()

    browser.post(approve)

    assert ledger.balance(alice.wallet) == ALONE + 1


def test_the_proposer_reads_that_a_second_steward_is_needed(signed_in, pending, bob, alice):
    browser = signed_in(bob)
    approve = reverse("decide-credit-issue", args=[pending.pk, "approve"])
    assert approve not in browser.get(reverse("cooperative")).content.decode()

    answer = browser.post(approve, follow=True)

    assert "A second steward has to decide this" in answer.content.decode()
    assert ledger.balance(alice.wallet) == 0


def test_a_second_steward_refuses(signed_in, pending, sam, alice):
    signed_in(sam).post(reverse("decide-credit-issue", args=[pending.pk, "refuse"]))

    assert CreditIssue.objects.get().state == "REFUSED"
    assert ledger.balance(alice.wallet) == 0


def _acts(alice, invitation, pending):
    yield reverse("create-invitation"), {"roles": ["MEMBER"]}
    yield reverse("revoke-invitation", args=[invitation.pk]), {}
    yield reverse("member-roles", args=[alice.pk]), {"roles": ["STEWARD"]}
    yield reverse("end-membership", args=[alice.pk]), {}
    yield reverse("propose-credit-issue"), {"to_address": alice.wallet, "amount_micro": "1", "reason": "x"}
    yield reverse("decide-credit-issue", args=[pending.pk, "approve"]), {}
    yield reverse("decide-credit-issue", args=[pending.pk, "refuse"]), {}


def _state():
    return (
        list(Invitation.objects.order_by("pk").values()),
        list(Membership.objects.order_by("pk").values()),
        list(CreditIssue.objects.order_by("pk").values()),
    )


def test_a_member_may_do_none_of_it(signed_in, olga, alice, invitation, pending):
    before = _state()

    answers = {url: signed_in(olga).post(url, data).status_code for url, data in _acts(alice, invitation[0], pending)}

    assert set(answers.values()) == {403}
    assert _state() == before


def test_a_steward_of_another_cooperative_finds_none_of_it(signed_in, charlie, alice, invitation, pending):
    own = {reverse("create-invitation"), reverse("propose-credit-issue")}
    before = _state()

    answers = {
        url: signed_in(charlie).post(url, data).status_code
        for url, data in _acts(alice, invitation[0], pending)
        if url not in own
    }
    elsewhere = signed_in(charlie).post(
        reverse("propose-credit-issue"), {"to_address": alice.wallet, "amount_micro": "1", "reason": "x"}
    )

    assert set(answers.values()) == {404}
    assert list(elsewhere.context["credit_form"].errors) == ["to_address"]
    assert _state() == before


def test_signed_out_everything_leads_to_the_login(client, alice, invitation, pending):
    before = _state()

    answers = [client.post(url, data) for url, data in _acts(alice, invitation[0], pending)]

    assert {answer["Location"].split("?")[0] for answer in answers} == {reverse("account_login")}
    assert _state() == before


def test_the_switcher_changes_what_pages_act_for(signed_in, bob, charlie, now):
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    there = accounts.accept_invitation(token=token, user=bob.user, now=now)
    browser = signed_in(bob)
    assert "Riverside" in browser.get(reverse("cooperative")).content.decode()

    response = browser.post(reverse("switch-cooperative"), {"membership": there.pk, "next": reverse("cooperative")})

    assert response["Location"] == reverse("cooperative")
    assert "Hillside" in browser.get(reverse("cooperative")).content.decode()


@pytest.mark.parametrize("wanted", ["", "x", "999999"])
def test_the_switcher_finds_no_membership_of_others(signed_in, bob, charlie, wanted):
    browser = signed_in(bob)

    for value in (wanted, str(charlie.pk)):
        assert browser.post(reverse("switch-cooperative"), {"membership": value}).status_code == 404

    assert "cooperative_id" not in browser.session


def test_the_switcher_leads_to_no_other_site(signed_in, bob):
    response = signed_in(bob).post(
        reverse("switch-cooperative"), {"membership": bob.pk, "next": "https://evil.example/"}
    )

    assert response["Location"] == reverse("home")
