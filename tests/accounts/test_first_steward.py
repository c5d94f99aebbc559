"""The one-time link of the first steward: the act, the command and the page."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.urls import reverse

from accounts import services as accounts
from accounts.core import tokens
from accounts.models import Cooperative, Membership, SetupLink, User
from common.clock import database_now
from common.errors import NotFound

PEOPLE = {
    "email": "fay@example.org",
    "password": "correct horse battery",
    "display_name": "Fay",
    "cooperative_name": "Riverside",
    "cooperative_slug": "riverside",
}
FORM = {
    "display_name": "Fay",
    "email": "fay@example.org",
    "password1": "correct horse battery",
    "password2": "correct horse battery",
    "cooperative_name": "Riverside Compute",
    "cooperative_slug": "",
}


def _token(link):
    return link.rstrip("/").rsplit("/", 1)[1]


@pytest.fixture
def link(db, now):
    return accounts.first_steward_link(now)


def _nothing_made():
    return not User.objects.exists() and not Cooperative.objects.exists()


def test_the_link_leads_to_the_setup_page_and_only_its_digest_is_kept(link, settings):
    token = _token(link)

    assert link == f"{settings.PUBLIC_URL}/setup/{token}/"
    assert SetupLink.objects.get().token_digest == tokens.digest(token)


def test_the_bearer_founds_the_first_cooperative(link, now):
    membership = accounts.use_first_steward_link(token=_token(link), now=now, **PEOPLE)

    assert str(membership) == "Fay in Riverside"
    assert "STEWARD" in membership.roles
    assert EmailAddress.objects.get(user=membership.user, verified=True, primary=True).email == "fay@example.org"
    assert not SetupLink.objects.exists()


def test_the_link_works_once(link, now):
    accounts.use_first_steward_link(token=_token(link), now=now, **PEOPLE)

    with pytest.raises(NotFound):
        accounts.use_first_steward_link(token=_token(link), now=now, **PEOPLE | {"email": "eve@example.org"})

    assert Membership.objects.count() == 1


def test_a_new_link_replaces_the_old_one(link, now):
    newer = accounts.first_steward_link(now)

    with pytest.raises(NotFound):
        accounts.use_first_steward_link(token=_token(link), now=now, **PEOPLE)

    assert _nothing_made()
    accounts.use_first_steward_link(token=_token(newer), now=now, **PEOPLE)


def test_the_link_expires_after_a_day(link, now):
    with pytest.raises(accounts.SetupLinkExpired, match="first_steward_link"):
        accounts.use_first_steward_link(token=_token(link), now=now + timedelta(hours=24), **PEOPLE)

    assert _nothing_made()


def test_there_is_no_link_once_there_is_a_cooperative(cooperative, now):
    assert accounts.first_steward_link(now) is None


def test_somebody_who_signed_up_early_does_not_take_the_link_away(link, now):
    User.objects.create_user("eve@example.org", "correct horse battery")

    assert accounts.first_steward_link(now) is not None


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_the_link_at_once_one_founds(link, now, overlapping):
    def found(email):
        return accounts.use_first_steward_link(token=_token(link), now=now, **PEOPLE | {"email": email})

    first, second = overlapping(lambda: found("fay@example.org"), lambda: found("eve@example.org"))

    assert isinstance(second, NotFound)
    assert User.objects.get() == first.user


def test_the_command_prints_the_link(db):
    printed = StringIO()

    call_command("first_steward_link", stdout=printed)

    assert re.fullmatch(r"http\S+/setup/[\w-]{43}/\n", printed.getvalue())
    assert SetupLink.objects.get().expires_at - database_now() == timedelta(hours=24)


def test_the_command_says_why_there_is_no_link(cooperative):
    printed, said = StringIO(), StringIO()

    call_command("first_steward_link", stdout=printed, stderr=said)

    assert printed.getvalue() == ""
    assert "There is a cooperative already" in said.getvalue()


@pytest.fixture
def page(db):
    return reverse("setup", args=[_token(accounts.first_steward_link(database_now()))])


def test_the_page_founds_and_logs_in(client, page):
    assert client.get(page).status_code == 200

    response = client.post(page, FORM)

    assert (response.status_code, response["Location"]) == (302, reverse("cooperative"))
    membership = Membership.objects.get()
    assert client.session["_auth_user_id"] == str(membership.user_id)
    assert (membership.cooperative.name, membership.cooperative.slug) == (
        "Riverside Compute",
        "riverside-compute",
    )
    shown = client.get(response["Location"])
    assert "Riverside Compute" in shown.content.decode()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"password2": "something else"}, "password2"),
        ({"password1": "password", "password2": "password"}, "password1"),
        ({"cooperative_name": ""}, "cooperative_name"),
        ({"cooperative_name": "协同"}, "cooperative_slug"),
        ({"display_name": ""}, "display_name"),
    ],
)
def test_mistakes_stand_at_their_field_and_nothing_is_made(client, page, changed, field):
    response = client.post(page, FORM | changed)

    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert f'id="id_{field}_error"' in response.content.decode()
    assert _nothing_made()


def test_an_address_with_an_account_is_refused_at_its_field(client, page):
    User.objects.create_user("fay@example.org", "correct horse battery")

    response = client.post(page, FORM)

    assert list(response.context["form"].errors) == ["email"]
    assert not Cooperative.objects.exists()


def test_a_wrong_link_is_not_found(client, db):
    response = client.post(reverse("setup", args=["wrong"]), FORM)

    assert response.status_code == 404
    assert _nothing_made()
