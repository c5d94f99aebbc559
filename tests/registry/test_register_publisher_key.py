"""A key belongs to the member who proved to hold it."""

import pytest

from accounts.services import NotAllowed
from common.errors import NotFound
from opengrid import keys
from registry import services
from registry.core import publishers
from registry.models import PublisherKey
from tests.registry import models


@pytest.fixture
def private():
    return keys.PrivateKey.generate()


def register(membership, private, now, proof=None):
    return services.register_publisher_key(
        membership=membership,
        public_key=private.public_text,
        proof=proof or models.proof(private, membership),
        now=now,
    )


def test_a_proved_key_is_registered_once(alice, private, now):
    key = register(alice, private, now)

    assert (key.membership, key.public_key, key.registered_at) == (alice, private.public_text, now)
    assert register(alice, private, now) == key


def test_another_members_proof_is_worthless(alice, bob, private, now):
    with pytest.raises(services.PublisherProofInvalid) as caught:
        register(bob, private, now, proof=models.proof(private, alice))

    assert not PublisherKey.objects.exists()
    assert caught.value.extra["document"] == {"membership_id": bob.pk, "public_key": private.public_text}


def test_a_proof_by_another_key_or_for_another_purpose_is_refused(alice, private, now):
    document = publishers.possession_document(private.public_text, alice.pk)
    stranger = keys.PrivateKey.generate()
    for proof in (
        keys.sign_document(stranger, publishers.CONTEXT, document),
        keys.sign_document(private, keys.MODEL_MANIFEST, document),
        "A" * 86,
    ):
        with pytest.raises(services.PublisherProofInvalid):
            register(alice, private, now, proof=proof)

    assert not PublisherKey.objects.exists()


def test_a_key_of_another_member_cannot_be_registered(alice, bob, private, now):
    register(alice, private, now)

    with pytest.raises(services.PublisherKeyInUse):
        register(bob, private, now)

    assert PublisherKey.objects.get().membership == alice


def test_a_revoked_key_stays_revoked(alice, private, now):
    register(alice, private, now)
    services.revoke_publisher_key(membership=alice, public_key=private.public_text, now=now)

    with pytest.raises(services.PublisherKeyInUse):
        register(alice, private, now)

    assert PublisherKey.objects.get().revoked_at == now


def test_nobody_revokes_anothers_key(alice, bob, private, now):
    register(alice, private, now)

    with pytest.raises(NotFound):
        services.revoke_publisher_key(membership=bob, public_key=private.public_text, now=now)

    assert PublisherKey.objects.get().revoked_at is None


def test_an_auditor_does_not_publish(alice, private, now):
    alice.roles = ["AUDITOR"]
    alice.save()

    with pytest.raises(NotAllowed):
        register(alice, private, now)
