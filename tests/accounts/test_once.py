"""Idempotency keys: the same request is carried out once, whoever repeats it, and whatever happens between."""

from datetime import timedelta

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from accounts import services as accounts
from accounts.models import Invitation, KeptReply, User
from common import locks
from common.clock import database_now

INVITE = {"roles": ["MEMBER"]}


def path_of(membership):
    return f"/api/v1/cooperatives/{membership.cooperative_id}/invitations"


def post(client, path, document, key=None):
    return client.post(path, document, "application/json", headers={"Idempotency-Key": key} if key else {})


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def test_a_request_that_is_sent_again_gets_the_same_answer_and_does_nothing_twice(signed_in, bob):
    his = signed_in(bob)

    first, second = (post(his, path_of(bob), INVITE, "one") for _ in range(2))

    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert ("Idempotency-Replayed" in first, second["Idempotency-Replayed"]) == (False, "true")
    assert Invitation.objects.count() == 1


def test_without_a_key_or_under_another_it_is_another_request(signed_in, bob):
    his = signed_in(bob)

    for key in (None, None, "one", "two"):
        post(his, path_of(bob), INVITE, key)

    assert Invitation.objects.count() == 4


@pytest.mark.parametrize("change", ["body", "query", "path"])
def test_a_key_of_another_request_is_refused(signed_in, bob, change):
    his = signed_in(bob)
    post(his, path_of(bob), INVITE, "one")

    answer = post(
        his,
        "/api/v1/invitations/accept" if change == "path" else path_of(bob) + ("?x=1" if change == "query" else ""),
        INVITE if change != "body" else {"roles": ["OPERATOR"]},
        "one",
    )

    assert refusal(answer) == (409, "idempotency_key_reused")
    assert Invitation.objects.count() == 1


def test_a_refusal_is_not_kept_so_that_the_key_serves_the_mended_request(signed_in, bob):
    his = signed_in(bob)

    refused = post(his, path_of(bob), {"roles": ["KING"]}, "one")
    mended = post(his, path_of(bob), INVITE, "one")

    assert (refused.status_code, mended.status_code) == (422, 201)
    assert KeptReply.objects.count() == 1


def test_keys_of_different_people_are_different_keys(bob, sam):
    browsers = [Client(), Client()]
    for browser, steward in zip(browsers, (bob, sam), strict=True):
        browser.force_login(steward.user)

    answers = [post(browser, path_of(bob), INVITE, "one") for browser in browsers]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert Invitation.objects.count() == 2


def test_keys_of_different_tokens_are_different_keys(program, bob, charlie):
    links = [accounts.invite(by=bob, roles=["MEMBER"], now=database_now())[1] for _ in range(2)]

    answers = [post(program(charlie), "/api/v1/invitations/accept", {"token": link}, "one") for link in links]

    assert answers[0].status_code == 201
    assert refusal(answers[1]) == (409, "already_member")


def test_a_session_that_acts_for_another_cooperative_repeats_nothing(client, bob, charlie, now):
    _, token = accounts.invite(by=charlie, roles=["MEMBER"], now=now)
    accounts.accept_invitation(token=token, user=bob.user, now=now)
    client.force_login(bob.user)
    document = {"name": "laptop", "scopes": ["jobs:read"]}
    post(client, "/api/v1/tokens", document, "one")
    session = client.session
    session["cooperative_id"] = charlie.cooperative_id
    session.save()

    answer = post(client, "/api/v1/tokens", document, "one")

    assert "Idempotency-Replayed" not in answer
    assert bob.user.memberships.get(cooperative=charlie.cooperative).api_tokens.count() == 1


def test_secrets_are_sealed_with_the_callers_key(signed_in, bob, settings):
    secret = post(signed_in(bob), path_of(bob), INVITE, "the-key-itself").json()["token"]

    row = KeptReply.objects.get()
    stored = b"".join(bytes(value) for value in vars(row).values() if isinstance(value, bytes | memoryview))
    assert secret.encode() not in stored
    assert "the-key-itself" not in str(vars(row))


def test_an_answer_is_readable_under_an_older_secret_key(signed_in, bob, settings):
    his, old = signed_in(bob), settings.SECRET_KEY
    first = post(his, path_of(bob), INVITE, "one")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [old]

    assert post(his, path_of(bob), INVITE, "one").content == first.content


def test_an_answer_that_cannot_be_read_any_more_is_a_typed_refusal(db, now, settings):
    request = {"caller": "token:1", "key": "one", "fingerprint": "sha256:f"}
    accounts.keep_reply(**request, status=201, body=b"{}", now=now)
    assert accounts.earlier_reply(**request) == (201, b"{}")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, []

    with pytest.raises(accounts.IdempotencyKeyReused, match="secret key of the platform that is gone"):
        accounts.earlier_reply(**request)


@pytest.mark.parametrize("key", ["k" * 201, "k\tk", "ключ"])
def test_a_key_that_is_none_is_refused(signed_in, bob, key):
    answer = signed_in(bob).post(path_of(bob), INVITE, "application/json", HTTP_IDEMPOTENCY_KEY=key)

    assert refusal(answer) == (422, "idempotency_key_invalid")
    assert not Invitation.objects.exists()


def test_a_newcomer_whose_answer_was_lost_gets_it_again(client, bob):
    _, token = accounts.invite(by=bob, roles=["MEMBER"], now=database_now())
    document = {
        "token": token,
        "email": "nina@example.org",
        "password": "correct horse battery",
        "display_name": "Nina",
        "scopes": ["jobs:read"],
    }

    first, second = (post(client, "/api/v1/join", document, "1") for _ in range(2))
    stranger = post(client, "/api/v1/join", document | {"password": "another horse battery"}, "1")

    assert (first.status_code, first.content) == (201, second.content)
    assert refusal(stranger) == (409, "invitation_used")
    assert User.objects.filter(email="nina@example.org").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_equal_requests_at_once_the_second_waits_and_gets_the_firsts_answer(signed_in, bob, overlapping):
    his = signed_in(bob)

    first, second = overlapping(
        lambda: post(his, path_of(bob), INVITE, "one"), lambda: post(his, path_of(bob), INVITE, "one")
    )

    assert (first.status_code, first.content) == (201, second.content)
    assert second["Idempotency-Replayed"] == "true"
    assert Invitation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_when_the_first_comes_to_nothing_the_second_is_carried_out(signed_in, bob, overlapping):
    his = signed_in(bob)

    first, second = overlapping(
        lambda: post(his, path_of(bob), INVITE, "one"),
        lambda: post(his, path_of(bob), INVITE, "one"),
        is_lost=True,
    )

    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in second
    assert Invitation.objects.get().pk == second.json()["invitation"]["id"]


def test_answers_are_forgotten_after_a_day(signed_in, bob):
    post(signed_in(bob), path_of(bob), INVITE, "one")
    kept_at = KeptReply.objects.get().kept_at

    assert accounts.forget_replies(now=kept_at + timedelta(hours=24) - timedelta(microseconds=1)) == 0
    assert accounts.forget_replies(now=kept_at + timedelta(hours=24)) == 1
    assert not KeptReply.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_kept_in_the_transaction_of_its_act(cooperative):
    with pytest.raises(locks.NotInTransaction):
        locks.lock(locks.Space.REQUEST, ["x"])


UNSAFE = ("post", "put", "patch", "delete")


def unsafe_operations():
    document = SchemaGenerator().get_schema(request=None, public=True)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in UNSAFE and not path.startswith("/api/v1/node/"):
                yield f"{method} {path}", operation


BY_THEIR_NATURE = {"put /api/v1/blobs/{digest}", "post /api/v1/nodes/join"}
"""A file is what its digest says, and a node's key joins once: the same again gets the same answer without a key."""


def test_every_unsafe_address_of_members_takes_a_key():
    without = {
        name
        for name, operation in unsafe_operations()
        if not any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }

    assert without == BY_THEIR_NATURE


def test_every_address_that_takes_a_key_says_how_it_refuses_one():
    for name, operation in unsafe_operations():
        if name not in BY_THEIR_NATURE:
            assert {"409", "422"} <= set(operation["responses"]), name


def test_a_stranger_is_refused_before_the_key_is_looked_at(bob):
    answer = post(Client(), path_of(bob), INVITE, "one")

    assert answer.status_code == 401
    assert not KeptReply.objects.exists()
