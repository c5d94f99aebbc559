"""Following an invitation link in the browser."""

import re
import secrets
from datetime import timedelta

import pytest
from django.urls import reverse

from accounts import services as accounts
from accounts.models import Invitation, Membership, User
from common.clock import database_now

PASSWORD = "correct horse battery"


@pytest.fixture
def link(bob):
    """An open invitation of today, and the address of its page."""
    invitation, token = accounts.invite(by=bob, roles=["MEMBER", "OPERATOR"], now=database_now())
    return invitation, reverse("invite", args=[token])


def test_signed_out_one_sees_where_the_link_leads(client, link):
    response = client.get(link[1])

    text = response.content.decode()
    assert "Join Riverside" in text
    assert "Member, Operator" in text
    assert reverse("account_signup") in text
    assert "no-store" in response["Cache-Control"]
    assert response.cookies["invitation"]["httponly"]


def test_signed_out_nothing_can_be_accepted(client, link):
    response = client.post(link[1], {"display_name": "Eve"})

    assert response["Location"].startswith(reverse("account_login"))
    assert Invitation.objects.get().accepted_at is None


def test_from_the_link_over_sign_up_and_mail_back_to_the_link(client, link, mailoutbox):
    invitation, page = link
    address = f"nina-{secrets.token_hex(6)}@example.org"
    client.get(page)

    client.post(reverse("account_signup"), {"email": address, "password1": PASSWORD, "password2": PASSWORD})
    client.post(re.search(r"https?://[^/\s]+(/account/confirm-email/\S+)", mailoutbox[0].body)[1])
    back = client.post(reverse("account_login"), {"login": address, "password": PASSWORD})

    assert back["Location"] == page
    assert "Join Riverside" in client.get(page).content.decode()
    joined = client.post(page, {"display_name": "Nina"})
    assert joined["Location"] == reverse("home")
    membership = Membership.objects.get(user__email=address)
    assert (str(membership.user), membership.roles) == ("Nina", ["MEMBER", "OPERATOR"])
    assert client.session["cooperative_id"] == invitation.cooperative_id
    assert client.cookies["invitation"].value == ""


def test_a_name_is_needed(client, link):
    client.force_login(User.objects.create_user("nina@example.org", PASSWORD))

    response = client.post(link[1], {"display_name": ""})

    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["display_name"]
    assert Invitation.objects.get().accepted_at is None


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        ({"expires_at": timedelta(hours=-1)}, 409, "This invitation has expired"),
        ({"revoked_at": timedelta()}, 409, "This invitation has been taken back"),
    ],
)
def test_a_link_that_is_over_says_why_and_what_to_do(client, link, spoil, status, words):
    field, offset = next(iter(spoil.items()))
    Invitation.objects.update(**{field: database_now() + offset})

    response = client.get(link[1])

    assert response.status_code == status
    assert words in response.content.decode()
    assert "ask a steward of Riverside for a new link" in response.content.decode()


def test_a_link_that_never_was_is_not_found(client, cooperative):
    assert client.get(reverse("invite", args=["never-was"])).status_code == 404


def test_a_member_is_told_so(signed_in, alice, link):
    response = signed_in(alice).post(link[1], {"display_name": "Alice"})

    assert response.status_code == 409
    assert "You are a member already" in response.content.decode()
    assert Invitation.objects.get().accepted_at is None
