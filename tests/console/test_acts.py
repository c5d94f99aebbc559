"""What stewards do in the console goes through the services, says how it went, and leaves its row."""

import re
from html import unescape

import pytest

from accounts import services as accounts
from accounts.models import (
    CreditIssue,
    Invitation,
    JoinRequest,
    Membership,
    PolicyAdoption,
    PolicyVersion,
    StewardAct,
    User,
)
from dashboard.reasons import STEWARD_ACTS
from ledger import queries as ledger
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db
CREDIT = "/console/accounts/creditissue/"
STRANGE = {"to_address": "coop:999:treasury", "amount_micro": "1", "reason": "x"}


def acts():
    return list(StewardAct.objects.order_by("pk").values_list("act", flat=True))


def test_a_node_is_quarantined_and_released_and_its_owner_reads_why(console, client_of, grid, olga):
    page = f"/console/nodes/node/{grid.shed.pk}/"
    assert "quarantine/" in console.get(page).text

    console.post(f"{page}quarantine/", {"reason": "its sums are wrong"})

    grid.shed.refresh_from_db()
    assert (grid.shed.state, grid.shed.state_reason) == ("QUARANTINED", "quarantined_by_steward")
    assert "its sums are wrong" in client_of(olga).get(f"/nodes/{grid.shed.pk}/").text
    assert "quarantine/" not in console.get(page).text

    console.post(f"{page}release/", {"reason": "new memory"})

    grid.shed.refresh_from_db()
    assert grid.shed.state == "PROBATION"
    assert acts()[-2:] == ["QUARANTINE_NODE", "RELEASE_NODE"]
    assert "new memory" in console.get(page).text


def test_a_reason_is_needed(console, grid):
    answer = console.post(f"/console/nodes/node/{grid.shed.pk}/quarantine/", {"reason": " "})

    assert answer.status_code == 422
    grid.shed.refresh_from_db()
    assert grid.shed.state == "PROBATION"


def test_what_the_service_refuses_is_said_at_the_form(console, grid):
    answer = console.post(f"/console/nodes/node/{grid.shed.pk}/release/", {"reason": "why not"})

    assert answer.status_code == 422
    assert "only a quarantined node is released" in answer.text


def test_several_nodes_are_quarantined_after_a_preview(console, grid):
    chosen = {"action": "quarantine", "_selected_action": [grid.shed.pk, grid.attic.pk], "index": "0"}

    preview = console.post("/console/nodes/node/", chosen)

    assert "shed" in preview.text
    assert "attic" in preview.text
    assert not StewardAct.objects.filter(act="QUARANTINE_NODE").exists()

    console.post("/console/nodes/node/", chosen | {"confirmed": "1", "reason": "a bad release"})

    assert StewardAct.objects.filter(act="QUARANTINE_NODE", reason="a bad release").count() == 2


def test_a_member_gets_other_roles_and_leaves(console, alice):
    page = f"/console/accounts/membership/{alice.pk}/"

    console.post(f"{page}roles/", {"roles": ["MEMBER", "OPERATOR"], "reason": "has a machine"})
    console.post(f"{page}end/", {"reason": "asked for it"})

    alice.refresh_from_db()
    assert alice.roles == ["MEMBER", "OPERATOR"]
    assert alice.left_at is not None
    assert acts() == ["SET_ROLES", "END_MEMBERSHIP"]


def test_an_invitation_shows_its_link_once_and_is_taken_back(console):
    answer = console.post("/console/accounts/invitation/act/invite/", {"roles": ["MEMBER"], "email": ""})

    assert "http://testserver/invite/" in answer.text
    invitation = Invitation.objects.get()
    assert "/invite/" not in console.get(f"/console/accounts/invitation/{invitation.pk}/").text

    console.post(f"/console/accounts/invitation/{invitation.pk}/revoke/")

    invitation.refresh_from_db()
    assert invitation.revoked_at is not None


def test_who_asks_to_join_is_in_the_queue_and_becomes_a_member(console, sam):
    mia = User.objects.create_user("mia@example.org", "correct horse battery", display_name="Mia")
    asked = JoinRequest.objects.create(cooperative=sam.cooperative, user=mia, message="I have a machine")
    page = f"/console/accounts/joinrequest/{asked.pk}/"
    assert f"{page}accept/" in console.get("/console/").text

    console.post(f"{page}accept/")

    assert Membership.objects.get(user=mia).roles == ["MEMBER"]
    assert f"{page}accept/" not in console.get("/console/").text
    assert console.get("/console/accounts/stewardact/").status_code == 200
    assert console.post(f"{page}decline/", {"reason": "too late"}).status_code == 422


def test_an_act_is_found_again_in_the_log_by_its_request(console, alice):
    answer = console.post(f"/console/accounts/membership/{alice.pk}/roles/", {"roles": ["OPERATOR"], "reason": ""})

    assert answer.status_code == 302
    assert StewardAct.objects.get().request_id


def test_every_kind_of_act_has_its_words():
    assert set(STEWARD_ACTS) == set(StewardAct.Act)


def version_on(answer):
    """What the form carries of what was seen."""
    [found] = re.findall(r'<input type="hidden" name="version" value="([^"]*)"', answer.text)
    return unescape(found)


def test_roles_that_another_steward_changed_are_not_overwritten_unseen(console, bob, alice):
    page = f"/console/accounts/membership/{alice.pk}/roles/"
    seen = version_on(console.get(page))
    accounts.set_roles(by=bob, membership=alice, roles=["MEMBER", "AUDITOR"])

    refused = console.post(page, {"roles": ["OPERATOR"], "reason": "runs nodes", "version": seen})

    assert refused.status_code == 422
    assert "This has been changed meanwhile." in refused.text
    assert "Now: Member: submits jobs, trades, publishes models, Auditor" in refused.text
    assert 'value="runs nodes"' in refused.text
    assert sorted(Membership.objects.get(pk=alice.pk).roles) == ["AUDITOR", "MEMBER"]
    console.post(page, {"roles": ["OPERATOR"], "reason": "runs nodes", "version": version_on(refused)})
    assert Membership.objects.get(pk=alice.pk).roles == ["OPERATOR"]


def test_rules_are_proposed_by_one_steward_and_adopted_by_another(console, console_of, bob, sam):
    from accounts import queries
    from accounts.core import policy
    from accounts.forms import PolicyForm

    _number, rules = queries.current_policy(sam.cooperative_id)
    form = PolicyForm(initial=policy.as_dict(rules))
    typed = {name: form[name].value() for name in policy.NAMES} | {"reason": "more care"}
    typed["probation_validations"] = rules.probation_validations + 5

    console.post("/console/accounts/policyversion/act/propose/", typed)

    version = PolicyVersion.objects.get(number=2)
    page = f"/console/accounts/policyversion/{version.pk}/"
    assert "adopt/" not in console.get(page).text
    assert console.post(f"{page}adopt/").status_code == 422
    second = console_of(bob)
    shown = second.get(f"{page}adopt/").text
    assert "Validated results in a row" in shown
    assert str(rules.probation_validations + 5) in shown

    second.post(f"{page}adopt/")

    assert PolicyAdoption.objects.get(version=version).adopted_by == bob


def test_credit_above_the_limit_waits_for_a_second_steward(console, console_of, bob, sam, alice):
    large = {"to_address": alice.wallet, "amount_micro": "20000", "reason": "a year of work"}

    console.post(f"{CREDIT}act/issue/", large)

    issue = CreditIssue.objects.get()
    assert issue.state == "PROPOSED"
    assert console.post(f"{CREDIT}{issue.pk}/approve/").status_code == 422
    assert ledger.balance(alice.wallet) == 0

    console_of(bob).post(f"{CREDIT}{issue.pk}/approve/")

    assert ledger.balance(alice.wallet) == 20_000 * 1_000_000
    assert acts() == ["PROPOSE_CREDIT", "ISSUE_CREDIT"]


def test_credit_is_refused_with_a_reason(console, bob, alice, now):
    issue = accounts.propose_credit_issue(
        by=bob, to_address=alice.wallet, amount_micro=20_000 * 1_000_000, reason="much", now=now
    )

    console.post(f"{CREDIT}{issue.pk}/refuse/", {"reason": "too much at once"})

    issue.refresh_from_db()
    assert issue.state == "REFUSED"
    assert StewardAct.objects.get(act="REFUSE_CREDIT").reason == "too much at once"


def test_credit_to_a_strange_address_is_refused_at_the_field(console):
    answer = console.post(f"{CREDIT}act/issue/", STRANGE)

    assert answer.status_code == 422
    assert not CreditIssue.objects.exists()


def test_a_version_is_withdrawn(console, bob, now):
    version = scenes.a_model_version(bob, now)

    console.post(f"/console/registry/modelversion/{version.pk}/withdraw/", {"reason": "licence was not theirs"})

    version.refresh_from_db()
    assert version.withdrawn_at is not None
    assert acts() == ["WITHDRAW_VERSION"]


def test_an_act_that_does_not_exist_is_not_found(console, grid):
    for address in (f"/console/nodes/node/{grid.shed.pk}/retire/", "/console/nodes/node/act/quarantine/"):
        assert console.post(address, {"reason": "x"}).status_code == 404
