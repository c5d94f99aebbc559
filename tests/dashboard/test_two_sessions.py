"""Two people change the same thing: the later one is told what holds now, and loses nothing of what was written."""

import re
from dataclasses import replace
from html import unescape

import pytest
from django.urls import reverse

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.models import Membership, PolicyVersion
from nodes import queries as nodes
from registry import queries as registry

KEPT = "This has been changed meanwhile. What you wrote is still here"


def form_on(page, address):
    """What a browser would send of the form that goes to `address`."""
    [body] = re.findall(rf'<form[^>]*action="{re.escape(address)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    sent = {}
    for tag in re.findall(r"<input[^>]*>", body):
        known = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if "name" not in known or (known.get("type") in ("checkbox", "radio") and " checked" not in tag):
            continue
        sent.setdefault(known["name"], []).append(unescape(known.get("value", "")))
    for name, words in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', body, re.DOTALL):
        sent[name] = [words.strip()]
    return {name: values[0] if len(values) == 1 else values for name, values in sent.items()}


def test_terms_of_a_node_in_two_windows(client_of, grid, olga):
    page, address = reverse("node", args=[grid.shed.pk]), reverse("node-terms", args=[grid.shed.pk])
    one, other = client_of(olga), client_of(olga)
    first, second = (form_on(each.get(page).text, address) for each in (one, other))

    assert one.post(address, first | {"floor_price": "0.70"}).status_code == 302
    refused = other.post(address, second | {"floor_price": "0.60", "limit_lots": "2"})

    assert refused.status_code == 422
    assert KEPT in refused.text
    assert "Now: 0.70" in refused.text
    assert "Now: nothing" in refused.text
    kept = form_on(refused.text, address)
    assert (kept["floor_price"], kept["limit_lots"]) == ("0.60", "2")
    grid.shed.refresh_from_db()
    assert (grid.shed.floor_price_micro, grid.shed.limit_lots) == (700_000, None)
    assert other.post(address, kept).status_code == 302
    grid.shed.refresh_from_db()
    assert (grid.shed.floor_price_micro, grid.shed.limit_lots) == (600_000, 2)


def test_a_form_that_is_sent_twice_unchanged_by_others_is_not_stale(client_of, grid, olga):
    page, address = reverse("node", args=[grid.shed.pk]), reverse("node-terms", args=[grid.shed.pk])
    hers = client_of(olga)

    for _ in range(2):
        assert hers.post(address, form_on(hers.get(page).text, address)).status_code == 302


def test_shares_of_a_node_in_two_windows(client_of, grid, olga, alice, sam):
    page, address = reverse("node", args=[grid.shed.pk]), reverse("node-shares", args=[grid.shed.pk])
    one, other = client_of(olga), client_of(olga)
    own = f"share_{olga.pk}"
    first, second = (form_on(each.get(page).text, address) for each in (one, other))

    assert one.post(address, first | {own: "60", "new_owner": alice.pk, "new_share": "40"}).status_code == 302
    refused = other.post(address, second | {own: "80", "new_owner": sam.pk, "new_share": "20"})

    assert refused.status_code == 422
    assert KEPT in refused.text
    assert "Now: 60.00" in refused.text
    assert "Now: 40.00" in refused.text
    kept = form_on(refused.text, address)
    assert (kept[own], kept["new_share"]) == ("80", "20")
    assert f'<option value="{sam.pk}" selected>' in refused.text
    assert other.post(address, kept | {"new_owner": sam.pk}).status_code == 302
    assert {owner: bp for owner, _, bp in nodes.shares_of([grid.shed.pk])[grid.shed.pk]} == {
        olga.pk: 8000,
        sam.pk: 2000,
    }


def test_a_share_that_was_taken_away_meanwhile_is_still_on_the_form(client_of, grid, olga, alice):
    page, address = reverse("node", args=[grid.shed.pk]), reverse("node-shares", args=[grid.shed.pk])
    one, other = client_of(olga), client_of(olga)
    own, hers = f"share_{olga.pk}", f"share_{alice.pk}"
    one.post(address, form_on(one.get(page).text, address) | {own: "50", "new_owner": alice.pk, "new_share": "50"})
    first, second = (form_on(each.get(page).text, address) for each in (one, other))

    one.post(address, first | {own: "100", hers: "0"})
    refused = other.post(address, second | {own: "30", hers: "70"})

    kept = form_on(refused.text, address)
    assert (refused.status_code, kept[own], kept[hers]) == (422, "30", "70")
    assert other.post(address, kept).status_code == 302
    assert {owner: bp for owner, _, bp in nodes.shares_of([grid.shed.pk])[grid.shed.pk]} == {
        olga.pk: 3000,
        alice.pk: 7000,
    }


def test_words_about_a_model_in_two_windows(client_of, grid, bob):
    page, address = reverse("model-version", args=[grid.version.pk]), reverse("describe-model", args=[grid.version.pk])
    one, other = client_of(bob), client_of(bob)
    first, second = (form_on(each.get(page).text, address) for each in (one, other))

    one.post(address, first | {"summary": "reads digits"})
    refused = other.post(address, second | {"summary": "knows numbers"})

    assert refused.status_code == 422
    assert "Now: reads digits" in refused.text
    assert form_on(refused.text, address)["summary"] == "knows numbers"
    assert registry.version_of(bob.cooperative_id, grid.version.pk).model.summary == "reads digits"
    other.post(address, form_on(refused.text, address))
    assert registry.version_of(bob.cooperative_id, grid.version.pk).model.summary == "knows numbers"


def test_roles_of_a_member_by_two_stewards(client_of, bob, sam, alice):
    address = reverse("member-roles", args=[alice.pk])
    his, hers = client_of(bob), client_of(sam)
    first, second = (form_on(each.get(address).text, address) for each in (his, hers))

    assert his.post(address, first | {"roles": ["MEMBER", "AUDITOR"]}).status_code == 302
    refused = hers.post(address, second | {"roles": ["MEMBER", "OPERATOR"]})

    assert refused.status_code == 422
    assert KEPT in refused.text
    assert "Now: Member: submits jobs, trades, publishes models, Auditor: reads everything" in refused.text
    assert form_on(refused.text, address)["roles"] == ["MEMBER", "OPERATOR"]
    assert sorted(Membership.objects.get(pk=alice.pk).roles) == ["AUDITOR", "MEMBER"]
    assert hers.post(address, form_on(refused.text, address)).status_code == 302
    assert sorted(Membership.objects.get(pk=alice.pk).roles) == ["MEMBER", "OPERATOR"]


def test_rules_that_were_adopted_while_others_were_being_proposed(client_of, bob, sam):
    address = reverse("propose-policy")
    his = client_of(bob)
    opened = form_on(his.get(address).text, address)
    fairer = replace(policy.Rules(), operator_bp=8000, treasury_bp=1300)
    adopted = accounts.propose_policy(by=bob, rules=fairer, reason="save for a GPU")
    accounts.adopt_policy(by=sam, version=adopted)

    refused = his.post(address, opened | {"spare_claims": "6", "reason": "machines fail"})

    assert refused.status_code == 422
    assert KEPT in refused.text
    assert "You start from version 2" in refused.text
    assert refused.text.count("Now: ") == 3, "operators, treasury, and the rule that is to change"
    kept = form_on(refused.text, address)
    assert (kept["spare_claims"], kept["reason"], kept["operator_bp"]) == ("6", "machines fail", opened["operator_bp"])
    assert PolicyVersion.objects.count() == 2
    assert his.post(address, kept).status_code == 302
    assert queries.policy(bob.cooperative_id, 3) == replace(policy.Rules(), spare_claims=6)


@pytest.mark.parametrize("version", ["x", "0" * 40, '"0123"'])
def test_a_version_that_never_was_is_stale(client_of, grid, olga, version):
    address = reverse("node-terms", args=[grid.shed.pk])

    refused = client_of(olga).post(address, {"floor_price": "0.60", "version": version})

    assert (refused.status_code, KEPT in refused.text) == (422, True)
