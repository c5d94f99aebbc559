"""The rule book in the browser: what is in force, what was, what is proposed, who adopts."""

import re
from dataclasses import replace

import pytest
from django.urls import reverse

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.forms import PolicyForm
from accounts.models import PolicyVersion

FAIRER = replace(policy.Rules(), operator_bp=8000, treasury_bp=1300)


@pytest.fixture
def proposed(bob):
    return accounts.propose_policy(by=bob, rules=FAIRER, reason="save for a GPU")


@pytest.fixture
def typed(client, bob):
    """What the form holds when it is opened, as a browser would send it."""
    client.force_login(bob.user)
    form = client.get(reverse("propose-policy")).context["form"]
    return {name: form[name].value() and form.fields[name].prepare_value(form[name].value()) for name in policy.NAMES}


def test_the_form_starts_from_the_rules_in_force(typed):
    form = PolicyForm({name: str(value) for name, value in typed.items()} | {"reason": "same"})

    assert form.is_valid(), form.errors
    assert form.cleaned_data["rules"] == policy.Rules()


def test_a_proposal_is_made_and_shows_what_would_change(client, bob, typed):
    wanted = typed | {"operator_bp": "80", "treasury_bp": "13,00 %", "reason": "save for a GPU"}

    response = client.post(reverse("propose-policy"), wanted)

    assert response["Location"] == reverse("policy-version", args=[2])
    assert queries.policy(bob.cooperative_id, 2) == FAIRER
    shown = client.get(response["Location"]).content.decode()
    assert re.findall(r"<(?:del|ins)>(.*?)</", shown) == ["85.00 %", "80.00 %", "8.00 %", "13.00 %"]
    assert reverse("adopt-policy", args=[2]) not in shown


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"operator_bp": "80"}, ["operator_bp"]),
        ({"operator_bp": "lots"}, ["operator_bp"]),
        ({"royalty_fee_bp": "0.001"}, ["royalty_fee_bp"]),
        ({"royalty_fee_bp": "101"}, ["royalty_fee_bp"]),
        ({"spare_claims": "-1"}, ["spare_claims"]),
        ({"quarantine_rejections": "11"}, ["quarantine_rejections"]),
        ({"issuance_limit_micro": "1e99999999"}, ["issuance_limit_micro"]),
        ({"issuance_limit_micro": "1000000001"}, ["issuance_limit_micro"]),
        ({"royalty_fee_bp": "1e9999999"}, ["royalty_fee_bp"]),
        ({"reason": ""}, ["reason"]),
        ({}, ["__all__"]),
    ],
)
def test_mistakes_stand_at_their_field_and_nothing_is_proposed(client, typed, changed, fields):
    response = client.post(reverse("propose-policy"), typed | {"reason": "why not"} | changed)

    assert response.status_code == 422
    assert list(response.context["form"].errors) == fields
    assert PolicyVersion.objects.count() == 1


def test_a_second_steward_sees_the_proposal_and_adopts_it(signed_in, proposed, sam):
    browser = signed_in(sam)
    assert reverse("policy-version", args=[2]) in browser.get(reverse("cooperative")).content.decode()
    adopt = reverse("adopt-policy", args=[2])
    assert adopt in browser.get(reverse("policy-version", args=[2])).content.decode()

    browser.post(adopt)

    assert queries.current_policy(sam.cooperative_id) == (2, FAIRER)
    history = browser.get(reverse("policy")).content.decode()
    assert history.index("in force") < history.index("replaced")


def test_the_proposer_reads_that_a_second_steward_is_needed(signed_in, proposed, bob):
    answer = signed_in(bob).post(reverse("adopt-policy", args=[2]), follow=True)

    assert "A second steward has to decide this" in answer.content.decode()
    assert queries.current_policy(bob.cooperative_id)[0] == 1


def test_members_read_and_change_nothing(signed_in, proposed, alice):
    browser = signed_in(alice)

    assert browser.get(reverse("policy")).status_code == 200
    assert browser.get(reverse("policy-version", args=[2])).status_code == 200
    assert browser.get(reverse("propose-policy")).status_code == 403
    assert browser.post(reverse("adopt-policy", args=[2])).status_code == 403
    assert queries.current_policy(alice.cooperative_id)[0] == 1


def test_outsiders_find_nothing(signed_in, proposed, charlie):
    browser = signed_in(charlie)

    assert browser.get(reverse("policy-version", args=[2])).status_code == 404
    assert browser.post(reverse("adopt-policy", args=[2])).status_code == 404
    assert queries.current_policy(proposed.cooperative_id)[0] == 1
