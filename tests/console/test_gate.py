"""Who gets into the console: stewards of the cooperative, with a second factor used in this session."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.urls import reverse

from dashboard.admin import console as site

pytestmark = pytest.mark.django_db


def addresses(grid):
    """One address of every kind below /console/."""
    found = ["/console/", "/console/ledger/", "/console/ledger/account/?address=coop:1:treasury"]
    for section in site._registry.values():
        found += [section.address("changelist"), section.address("csv"), section.address("change", 1)]
    return [*found, "/console/nodes/node/1/quarantine/", "/console/accounts/invitation/act/invite/"]


def test_strangers_sign_in_first(client_of, grid):
    for address in addresses(grid):
        answer = client_of().get(address)
        assert answer.status_code == 302, address
        assert answer.url.startswith(reverse("account_login")), address


def test_members_operators_and_auditors_stay_outside(client_of, grid, alice, olga, cooperative):
    from accounts.models import Membership, User

    person = User.objects.create_user("ann@example.org", "correct horse battery", display_name="Ann")
    ann = Membership.objects.create(cooperative=cooperative, user=person, roles=["AUDITOR", "MEMBER"])
    for member in (alice, olga, ann):
        client = client_of(member)
        assert {client.get(address).status_code for address in addresses(grid)} == {403}
        assert "The console is for stewards of Riverside" in client.get("/console/").text


def test_a_steward_without_a_second_factor_is_sent_to_set_one_up(client_of, grid, sam):
    client = client_of(sam)
    for address in addresses(grid):
        assert client.get(address).url == reverse("mfa_activate_totp"), address

    assert client.post("/console/nodes/node/1/quarantine/", {"reason": "x"}).url == reverse("mfa_activate_totp")
    grid.shed.refresh_from_db()
    assert grid.shed.state == "PROBATION"


def test_recovery_codes_alone_are_no_second_factor(client_of, sam):
    Authenticator.objects.create(user=sam.user, type=Authenticator.Type.RECOVERY_CODES, data={})

    assert client_of(sam).get("/console/").url == reverse("mfa_activate_totp")


def test_a_session_that_was_opened_without_the_factor_has_to_confirm_it(client_of, with_factor, sam):
    answer = client_of(with_factor(sam)).get("/console/ledger/")

    assert answer.url == f"{reverse('mfa_reauthenticate')}?next=%2Fconsole%2Fledger%2F"


def test_a_confirmed_code_leads_back_into_the_console(client_of, sam):
    """The whole way through allauth: password, code, page."""
    secret = generate_totp_secret()
    TOTP.activate(sam.user, secret)
    client = client_of(sam)
    sent_to = client.get("/console/").url

    answer = client.post(sent_to, {"code": code_of(secret), "next": "/console/"})

    assert answer.url == "/console/"
    assert client.get("/console/").status_code == 200


def code_of(secret):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def test_a_role_taken_away_closes_the_console_at_once(console, sam):
    assert console.get("/console/").status_code == 200

    sam.roles = ["MEMBER"]
    sam.save()

    assert console.get("/console/").status_code == 403


def test_no_page_is_kept_by_a_cache_and_the_policy_stays_strict(console, grid):
    for address in ("/console/", "/console/nodes/node/", f"/console/nodes/node/{grid.shed.pk}/"):
        answer = console.get(address)
        assert "no-store" in answer["Cache-Control"]
        assert "unsafe" not in answer["Content-Security-Policy"]
