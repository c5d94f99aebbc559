"""A machine joins once per token, with a key it proves to hold."""

import datetime

import pytest

from nodes import queries, services
from nodes.models import JoinToken, Node, NodeEvent
from nodes.services.joining import JoinProofInvalid
from opengrid import keys
from tests.nodes import agents


@pytest.fixture
def token(olga, now):
    return services.create_join_token(
        membership=olga, floor_price_micro=700, limit_lots=3, node_name="barn", tier="EDGE", zone="north", now=now
    )


def refused(error, secret, now, private=None, **changes):
    with pytest.raises(error) as caught:
        services.join(request=agents.join_request(secret, private, **changes), now=now)
    assert not Node.objects.exists()
    return caught.value


def test_the_node_has_the_key_of_the_request_and_the_terms_of_the_token(token, olga, now):
    row, secret = token
    private = agents.a_key()

    node = services.join(request=agents.join_request(secret, private), now=now)

    row.refresh_from_db()
    assert (node.public_key, node.operator, node.cooperative) == (private.public_text, olga, olga.cooperative)
    assert (node.name, node.tier, node.zone) == ("barn", "EDGE", "north")
    assert (node.floor_price_micro, node.limit_lots, node.sellable_lots) == (700, 3, 0)
    assert (node.state, node.state_reason) == ("JOINED", "joined")
    assert (row.used_by, row.used_at) == (node, now)
    assert queries.shares_of([node.pk]) == {node.pk: [(olga.pk, olga.wallet, 10_000)]}
    assert NodeEvent.objects.get().reason == "joined"


def test_the_machine_names_itself_when_the_token_does_not(olga, now):
    assert agents.joined(olga, now).name == "shed"


def test_a_token_is_used_once(token, now):
    _, secret = token
    services.join(request=agents.join_request(secret), now=now)

    with pytest.raises(services.JoinTokenUsed):
        services.join(request=agents.join_request(secret), now=now)

    assert Node.objects.count() == 1


def test_the_same_key_again_gets_the_same_node(token, now):
    _, secret = token
    private = agents.a_key()
    first = services.join(request=agents.join_request(secret, private), now=now)

    again = services.join(request=agents.join_request(secret, private), now=now + datetime.timedelta(days=2))

    assert again == first
    assert Node.objects.count() == 1


def test_an_unknown_token_opens_nothing(token, now):
    assert refused(services.JoinRefused, "cgj_" + "x" * 43, now).code == "join_token_refused"


def test_an_expired_token_opens_nothing(token, now):
    row, secret = token

    error = refused(services.JoinRefused, secret, row.expires_at)

    assert "expired" in error.detail
    assert JoinToken.objects.get().used_at is None


def test_a_token_of_somebody_who_left_opens_nothing(token, olga, now):
    olga.left_at = now
    olga.save()

    refused(services.JoinRefused, token[1], now)


def test_a_token_of_somebody_who_lost_the_role_opens_nothing(token, olga, now):
    olga.roles = ["MEMBER"]
    olga.save()

    refused(services.JoinRefused, token[1], now)


def test_a_proof_by_another_key_is_refused(token, now):
    _, secret = token
    stranger = agents.a_key()

    refused(JoinProofInvalid, secret, now, proof=keys.join_proof(stranger, secret))


def test_a_proof_for_another_token_is_refused(token, now):
    private = agents.a_key()

    refused(JoinProofInvalid, token[1], now, private, proof=keys.join_proof(private, "another-token-of-this-kind"))


def test_a_proof_made_for_another_purpose_is_refused(token, now):
    private = agents.a_key()
    document = {"public_key": private.public_text, "token": token[1]}

    refused(JoinProofInvalid, token[1], now, private, proof=keys.sign_document(private, keys.RECEIPT, document))


def test_a_key_cannot_be_two_nodes(token, olga, now):
    private = agents.a_key()
    agents.joined(olga, now, private=private)

    with pytest.raises(services.NodeKeyInUse):
        services.join(request=agents.join_request(token[1], private), now=now)

    assert Node.objects.count() == 1
    assert JoinToken.objects.get(pk=token[0].pk).used_at is None
