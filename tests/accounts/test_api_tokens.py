"""Making, finding and revoking API tokens."""

from datetime import timedelta

import pytest

from accounts import services as accounts
from accounts.core import tokens
from accounts.models import ApiToken
from common.errors import NotFound


@pytest.fixture
def made(alice, now):
    return accounts.issue_api_token(membership=alice, name="laptop", scopes=["jobs:write", "jobs:read"], now=now)


def test_only_digest_and_beginning_of_the_secret_are_kept(made):
    token, secret = made

    assert secret.startswith("cgt_")
    assert len(secret) == 47
    assert (token.digest, token.prefix) == (tokens.digest(secret), secret[:12])
    assert token.scopes == ["jobs:read", "jobs:write"]
    assert secret not in str(ApiToken.objects.values().get())


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["jobs:read", "root"]}, "scopes"),
        ({"expires_at": "now"}, "expires_at"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused_by_field(alice, now, changed, field):
    wanted = {"name": "laptop", "scopes": ["jobs:read"]} | changed
    if "expires_at" in wanted:
        wanted["expires_at"] = now

    with pytest.raises(accounts.TokenRefused) as refused:
        accounts.issue_api_token(membership=alice, now=now, **wanted)

    assert refused.value.extra["field"] == field
    assert not ApiToken.objects.exists()


def test_the_secret_finds_the_token_with_its_member(made, alice, now, django_assert_num_queries):
    token, secret = made

    with django_assert_num_queries(4):  # savepoint, select with member and cooperative, note the use, release
        found = accounts.find_api_token(secret, now)
        assert (found, found.membership, found.membership.user) == (token, alice, alice.user)


def test_what_is_no_secret_finds_nothing(made, now):
    token, secret = made

    assert accounts.find_api_token(secret + "x", now) is None
    assert accounts.find_api_token(token.digest, now) is None
    assert accounts.find_api_token("", now) is None


def test_the_use_of_a_token_is_noted_at_most_once_a_minute(made, now):
    _, secret = made
    seen = []

    for seconds in (0, 59, 60, 119, 200):
        accounts.find_api_token(secret, now + timedelta(seconds=seconds))
        seen.append((ApiToken.objects.get().last_used_at - now).seconds)

    assert seen == [0, 0, 60, 60, 200]


def test_an_expired_token_finds_nothing(alice, now):
    _, secret = accounts.issue_api_token(
        membership=alice, name="short", scopes=["jobs:read"], now=now, expires_at=now + timedelta(days=1)
    )

    assert accounts.find_api_token(secret, now + timedelta(hours=23)) is not None
    assert accounts.find_api_token(secret, now + timedelta(days=1)) is None


def test_a_token_of_a_closed_account_finds_nothing(made, alice, now):
    alice.user.is_active = False
    alice.user.save()

    assert accounts.find_api_token(made[1], now) is None


def test_a_revoked_token_finds_nothing(made, alice, now):
    accounts.revoke_api_token(by=alice, token=made[0], now=now)

    assert accounts.find_api_token(made[1], now) is None
    with pytest.raises(NotFound):
        accounts.revoke_api_token(by=alice, token=made[0], now=now)


@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_nobody_revokes_the_token_of_another(request, made, now, who):
    by = request.getfixturevalue(who)

    with pytest.raises(NotFound):
        accounts.revoke_api_token(by=by, token=made[0], now=now)

    assert accounts.find_api_token(made[1], now) is not None
