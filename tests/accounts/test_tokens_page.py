"""The page of API tokens."""

import re

from django.urls import reverse

from accounts import services as accounts
from accounts.models import ApiToken
from common.clock import database_now

FORM = {"name": "laptop", "scopes": ["jobs:read", "jobs:write"], "valid_days": "30"}


def test_the_secret_is_shown_once(signed_in, alice):
    browser = signed_in(alice)

    made = browser.post(reverse("tokens"), FORM)

    secret = re.search(r'id="secret">(cgt_[\w-]{43})<', made.content.decode())[1]
    assert "no-store" in made["Cache-Control"]
    assert accounts.find_api_token(secret, database_now()).membership == alice
    assert secret not in browser.get(reverse("tokens")).content.decode()
    assert (ApiToken.objects.get().expires_at - ApiToken.objects.get().created_at).days == 30


def test_mistakes_stand_at_their_field(signed_in, alice):
    response = signed_in(alice).post(reverse("tokens"), {"name": "", "scopes": ["root"], "valid_days": "9999"})

    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"name", "scopes", "valid_days"}
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked_by_its_owner(signed_in, alice):
    token, secret = accounts.issue_api_token(membership=alice, name="x", scopes=["jobs:read"], now=database_now())

    response = signed_in(alice).post(reverse("revoke-token", args=[token.pk]))

    assert response["Location"] == reverse("tokens")
    assert accounts.find_api_token(secret, database_now()) is None


def test_the_token_of_another_is_not_found(signed_in, bob, alice):
    token, secret = accounts.issue_api_token(membership=alice, name="x", scopes=["jobs:read"], now=database_now())

    response = signed_in(bob).post(reverse("revoke-token", args=[token.pk]))

    assert response.status_code == 404
    assert accounts.find_api_token(secret, database_now()) is not None
