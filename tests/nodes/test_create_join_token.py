"""A join token is a secret for one machine; only its digest is kept."""

import pytest
from django.db import IntegrityError, transaction

from accounts.services import NotAllowed
from nodes import services
from nodes.models import JoinToken
from nodes.services.joining import TermsInvalid
from opengrid import digests


def test_only_the_digest_of_the_secret_is_stored(olga, now):
    token, secret = services.create_join_token(membership=olga, floor_price_micro=500, now=now)

    stored = JoinToken.objects.values().get(pk=token.pk)
    assert stored["digest"] == digests.of_bytes(secret.encode())
    assert secret not in str(stored)
    assert len(secret) >= 40


def test_a_token_is_valid_for_a_day(olga, now):
    token, _ = services.create_join_token(membership=olga, floor_price_micro=500, now=now)

    assert (token.expires_at - now).total_seconds() == 86_400


def test_a_plain_member_cannot_add_nodes(alice, now):
    with pytest.raises(NotAllowed):
        services.create_join_token(membership=alice, floor_price_micro=500, now=now)

    assert not JoinToken.objects.exists()


@pytest.mark.parametrize(
    "terms",
    [
        {"floor_price_micro": -1},
        {"floor_price_micro": 2**53 + 1},
        {"floor_price_micro": 1, "limit_lots": 0},
        {"floor_price_micro": 1, "limit_lots": 10**7},
        {"floor_price_micro": 1, "tier": "SPACE"},
        {"floor_price_micro": 1, "zone": "z" * 41},
        {"floor_price_micro": 1, "node_name": "n" * 101},
    ],
)
def test_terms_outside_their_range_are_refused(olga, now, terms):
    with pytest.raises(TermsInvalid):
        services.create_join_token(membership=olga, now=now, **terms)

    assert not JoinToken.objects.exists()


def test_the_table_refuses_a_use_without_its_time(olga, now):
    token, _ = services.create_join_token(membership=olga, floor_price_micro=500, now=now)

    with pytest.raises(IntegrityError, match="jointoken_use_is_whole"), transaction.atomic():
        JoinToken.objects.filter(pk=token.pk).update(used_at=now)
