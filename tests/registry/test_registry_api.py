"""Files and models over HTTP, as members and their programs use them."""

import io
import json

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.test import AsyncClient, Client

from accounts import services as accounts
from common.clock import database_now
from opengrid import digests, keys
from registry.models import Blob, BlobGrant, ModelVersion, PublisherKey
from tests.registry import models

DATA = b"\x00\x01 some bytes" * 10_000
OCTETS = "application/octet-stream"


def blob_path(data=DATA):
    return f"/api/v1/blobs/{digests.of_bytes(data)}"


def put(client, data=DATA, path=None, content_type=OCTETS, **headers):
    return client.put(path or blob_path(data), data, content_type=content_type, headers=headers)


def post(client, path, document):
    return client.post(path, json.dumps(document), content_type="application/json")


@pytest.fixture
def alices(alice, signed_in):
    return signed_in(alice)


def test_an_upload_is_stored_and_comes_back_byte_by_byte(alices, alice):
    answer = put(alices)

    assert answer.status_code == 201
    assert answer.json() == {"digest": digests.of_bytes(DATA), "size_bytes": len(DATA)}
    back = alices.get(blob_path())
    assert b"".join(back.streaming_content) == DATA
    assert back.headers["Content-Type"] == OCTETS
    assert back.headers["Content-Length"] == str(len(DATA))
    assert back.headers["X-Content-Type-Options"] == "nosniff"
    assert back.headers["Content-Disposition"].startswith("attachment")
    assert BlobGrant.objects.get().membership == alice


def test_the_second_upload_says_that_it_is_known(alices):
    put(alices)

    assert put(alices).status_code == 200


def test_head_tells_the_size_and_sends_nothing(alices):
    put(alices)

    answer = alices.head(blob_path())

    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, str(len(DATA)), b"")


def test_a_client_may_ask_for_octets_alone(alices):
    put(alices)

    found = alices.get(blob_path(), headers={"Accept": OCTETS})
    missing = alices.get(blob_path(b"other"), headers={"Accept": OCTETS})

    assert (found.status_code, missing.status_code, missing.json()["code"]) == (200, 404, "not_found")
    assert b"".join(found.streaming_content) == DATA


def test_who_has_no_grant_is_told_that_there_is_nothing(alices, bob, charlie, signed_in):
    put(alices)

    for membership in (bob, charlie):
        for method in ("get", "head"):
            answer = getattr(signed_in(membership), method)(blob_path())
            assert answer.status_code == 404


def nothing_stored(stored_files):
    return stored_files() == [] and not Blob.objects.exists() and not BlobGrant.objects.exists()


def test_another_content_than_the_address_says_is_refused(alices, stored_files):
    answer = put(alices, DATA, blob_path(b"other"))

    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert nothing_stored(stored_files)


def test_more_than_the_limit_is_refused_when_it_is_announced(alices, stored_files, settings):
    settings.BLOB_MAX_BYTES = len(DATA) - 1

    answer = put(alices)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert nothing_stored(stored_files)


@pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) * 2])
def test_a_body_that_ends_early_is_refused(alices, stored_files, length):
    short = {"wsgi.input": io.BytesIO(DATA), "CONTENT_LENGTH": str(length)}

    answer = alices.put(blob_path(), DATA, content_type=OCTETS, **short)

    assert (answer.status_code, answer.json()["code"]) == (400, "body_truncated")
    assert nothing_stored(stored_files)


def test_a_body_shorter_than_its_file_is_refused(alices, stored_files):
    answer = alices.put(blob_path(), DATA, content_type=OCTETS, CONTENT_LENGTH="100")

    assert answer.status_code == 422
    assert nothing_stored(stored_files)


@pytest.mark.parametrize("path", ["sha256:" + "A" * 64, "sha256:zz", "..%2f..%2fetc%2fpasswd", "sha512:" + "0" * 128])
def test_an_address_that_is_no_digest_leads_nowhere(alices, stored_files, path):
    answer = put(alices, DATA, f"/api/v1/blobs/{path}")

    assert answer.status_code == 404
    assert nothing_stored(stored_files)


def test_forms_and_text_are_not_files(alices, stored_files):
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        answer = put(alices, DATA, content_type=content_type)
        assert (answer.status_code, answer.json()["code"]) == (415, "octets_expected")

    assert nothing_stored(stored_files)


def test_a_session_needs_its_csrf_token(alice, stored_files):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)

    assert put(client).status_code == 403
    assert nothing_stored(stored_files)


def test_a_stranger_stores_and_reads_nothing(client, db, stored_files):
    assert put(client).status_code == 401
    assert client.get(blob_path()).status_code == 401
    assert nothing_stored(stored_files)


def bearer(membership, *scopes):
    _, secret = accounts.issue_api_token(membership=membership, name="cli", scopes=list(scopes), now=database_now())
    return Client(headers={"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize(("scope", "status"), [("jobs:write", 201), ("models:write", 201), ("wallet:read", 403)])
def test_a_tokens_scope_decides_whether_it_uploads(alice, stored_files, scope, status):
    assert put(bearer(alice, scope)).status_code == status
    assert nothing_stored(stored_files) == (status == 403)


def test_an_auditor_uploads_nothing(alices, alice, stored_files):
    alice.roles = ["AUDITOR"]
    alice.save()

    assert put(alices).status_code == 403
    assert nothing_stored(stored_files)


@pytest.mark.django_db(transaction=True)
def test_the_same_holds_behind_asgi(alice, stored_files):
    client = AsyncClient()
    async_to_sync(client.aforce_login)(alice.user)

    wrong = async_to_sync(client.put)(blob_path(b"other"), DATA, content_type=OCTETS)
    assert (wrong.status_code, nothing_stored(stored_files)) == (422, True)
    stored = async_to_sync(client.put)(blob_path(), DATA, content_type=OCTETS)
    assert stored.status_code == 201

    async def read_back():
        answer = await client.get(blob_path())
        return b"".join([part async for part in answer])

    assert async_to_sync(read_back)() == DATA


def test_a_member_publishes_by_the_book(alices, alice):
    private = keys.PrivateKey.generate()
    known = alices.get("/api/v1/publisher-keys").json()
    assert known == {"membership_id": alice.pk, "context": "publisher-key", "keys": [], "next": None}
    document = {"membership_id": known["membership_id"], "public_key": private.public_text}
    proof = keys.sign_document(private, known["context"], document)

    registered = post(alices, "/api/v1/publisher-keys", {"public_key": private.public_text, "proof": proof})
    assert registered.status_code == 201

    publisher = models.Publisher.__new__(models.Publisher)
    publisher.private = private
    data = models.linear()
    assert put(alices, data).status_code == 201
    text, signature = publisher.sign({"model.onnx": data})
    body = {"manifest": text, "signature": signature}

    first, second = (post(alices, "/api/v1/models/versions", body) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["manifest"] == text
    [model] = alices.get("/api/v1/models").json()["models"]
    assert (model["name"], [version["version"] for version in model["versions"]]) == ("digits", ["1.0.0"])


def test_hostile_publications_are_typed_and_leave_nothing(alices, publisher):
    data = models.linear()
    publisher.store(data)
    text, signature = publisher.sign({"model.onnx": data})
    for body, status, code in (
        ({"manifest": text, "signature": "A" * 86}, 422, "bad_signature"),
        ({"manifest": text, "signature": "short"}, 422, "invalid_message"),
        ({"manifest": text + " ", "signature": signature}, 422, "manifest_not_canonical"),
        ({"manifest": text}, 422, "invalid_message"),
        ({"manifest": text, "signature": signature, "force": True}, 422, "invalid_message"),
    ):
        answer = post(alices, "/api/v1/models/versions", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)

    assert not ModelVersion.objects.exists()


def test_a_version_is_read_and_withdrawn(alices, publisher, bob, charlie, signed_in):
    version = publisher.publish()
    path = f"/api/v1/models/versions/{version.pk}"

    assert signed_in(bob).get(path).json()["manifest_digest"] == version.manifest_digest
    assert signed_in(charlie).get(path).status_code == 404
    assert alices.get(f"/api/v1/models/versions/{2**70}").status_code == 404
    assert signed_in(bob).post(f"{path}/withdraw").json()["code"] == "not_your_model"
    withdrawn = alices.post(f"{path}/withdraw").json()
    assert withdrawn["withdrawn_at"]
    assert signed_in(bob).get(path).json() == withdrawn


def test_the_list_costs_the_same_for_many_models(alices, publisher, django_assert_num_queries):
    for number in range(4):
        publisher.publish(name=f"model-{number}")
        publisher.publish(name=f"model-{number}", version="2.0.0")

    # session, user, membership, models with publishers, versions with keys
    with django_assert_num_queries(5):
        answer = alices.get("/api/v1/models")

    assert [len(model["versions"]) for model in answer.json()["models"]] == [2, 2, 2, 2]


def test_models_come_in_pages_and_through_filters(alices, publisher, bob, signed_in):
    for name in ("apples", "pears", "crab-apples"):
        publisher.publish(name=name)

    def names(client, **wanted):
        answer = client.get("/api/v1/models", wanted).json()
        return [model["name"] for model in answer["models"]], answer["next"]

    first, more = names(alices, limit="2")

    assert (first, names(alices, limit="2", cursor=more)) == (["crab-apples", "pears"], (["apples"], None))
    assert names(alices, search="apple")[0] == ["crab-apples", "apples"]
    assert names(alices, own="true")[0] == ["crab-apples", "pears", "apples"]
    assert names(signed_in(bob), own="true")[0] == names(alices, own="false")[0] == []
    for wanted in ({"limit": "0"}, {"sort": "name"}, {"own": "yes"}, {"search": "\0"}):
        refused = alices.get("/api/v1/models", wanted)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_query")


def test_keys_come_in_pages_and_revoked_ones_apart(alices, alice, now, django_assert_num_queries):
    made = [keys.PrivateKey.generate() for _ in range(3)]
    for private in made:
        document = {"membership_id": alice.pk, "public_key": private.public_text}
        proof = keys.sign_document(private, "publisher-key", document)
        post(alices, "/api/v1/publisher-keys", {"public_key": private.public_text, "proof": proof})
    PublisherKey.objects.filter(public_key=made[0].public_text).update(revoked_at=now)
    oldest_first = [private.public_text for private in made]

    def listed(**wanted):
        answer = alices.get("/api/v1/publisher-keys", wanted).json()
        return [key["public_key"] for key in answer["keys"]], answer["next"]

    first, more = listed(limit="2")
    # session, user, membership, keys
    with django_assert_num_queries(4):
        rest = listed(limit="2", cursor=more)

    assert (first, rest) == (oldest_first[:0:-1], (oldest_first[:1], None))
    assert listed(revoked="true")[0] == oldest_first[:1]
    assert listed(revoked="false")[0] == first


def test_a_proof_that_fails_says_what_to_sign(alices, alice):
    private = keys.PrivateKey.generate()

    answer = post(alices, "/api/v1/publisher-keys", {"public_key": private.public_text, "proof": "A" * 86})

    assert (answer.status_code, answer.json()["code"]) == (422, "publisher_proof_invalid")
    assert answer.json()["document"] == {"membership_id": alice.pk, "public_key": private.public_text}
    assert not PublisherKey.objects.exists()


def test_a_session_posting_octets_is_told_the_method_and_not_that_its_body_is_no_form(alices):
    checked = Client(enforce_csrf_checks=True)
    checked.cookies = alices.cookies

    unnamed = checked.post(blob_path(), DATA, OCTETS)
    session = checked.session
    session["_csrftoken"] = "a" * 32
    session.save()
    named = checked.post(blob_path(), DATA, OCTETS, headers={"X-CSRFToken": "a" * 32})

    assert (unnamed.status_code, unnamed.json()["code"]) == (403, "permission_denied")
    assert (named.status_code, named.json()["code"]) == (405, "method_not_allowed")


def test_the_limit_of_uploads_is_a_setting():
    assert django_settings.BLOB_MAX_BYTES >= 1024 * 1024
