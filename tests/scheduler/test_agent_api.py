"""What agents call, over HTTP with signed requests: one task from claim to result, and every refusal typed."""

import json

import pytest

from common.clock import database_now
from marketplace.models import Order
from nodes.models import Node
from opengrid import digests, messages
from registry import services as registry
from scheduler.models import Attempt, AttemptOutput
from tests.scheduler import world

CLAIM = "/api/v1/node/claim"
BEAT = "/api/v1/node/heartbeat"
OFFER = "/api/v1/node/offer"
BLOB = "/api/v1/node/blobs/sha256:" + "a" * 64


def body(answer):
    return json.loads(answer.content)


def claim(machine, most=1):
    return machine.agent.send("POST", CLAIM, {"max_tasks": most})


def upload(machine, given, data, name="answer.txt", token=None, **more):
    path = f"/api/v1/node/attempts/{given.attempt_id}/{token or given.token}/outputs/{name}"
    return machine.agent.send("PUT", path, data, content_type="application/octet-stream", **more)


def result(machine, given, request):
    return machine.agent.send("POST", f"/api/v1/node/attempts/{given.attempt_id}/result", world.as_json(request))


def failure(machine, given, **changes):
    fields = {"token": given.token, "exit_reason": "oom", "detail": ""} | changes
    return machine.agent.send("POST", f"/api/v1/node/attempts/{given.attempt_id}/failure", fields)


@pytest.fixture
def given(alice, shed):
    world.start(alice, disk_mib=1)
    return shed.claim()[0]


def test_one_task_from_claim_to_result(alice, shed):
    world.start(alice)

    reply = messages.ClaimReply.model_validate_json(claim(shed).content)
    (given,) = reply.tasks
    fetched = shed.agent.send("GET", f"/api/v1/node/blobs/{given.inputs[0].digest}")
    stored = upload(shed, given, b"42")
    outputs = (messages.BlobRef(**body(stored)),)
    request = shed.signed(shed.receipt(given, outputs))
    answers = [result(shed, given, request), result(shed, given, request)]

    assert digests.of_bytes(b"".join(fetched.streaming_content)) == given.inputs[0].digest
    assert stored.status_code == 201
    assert [(answer.status_code, body(answer)) for answer in answers] == [
        (200, {"attempt_id": given.attempt_id, "state": "SUBMITTED"})
    ] * 2


def test_nothing_to_do_is_said_with_a_reason(shed):
    assert body(claim(shed)) == {"tasks": [], "reason": "no_task_waiting"}


@pytest.mark.parametrize("most", [0, 101, "1", 1.5, None])
def test_a_claim_asks_for_one_to_a_hundred_tasks(shed, most):
    answer = claim(shed, most)

    assert (answer.status_code, body(answer)["code"]) == (422, "invalid_message")


def test_a_draining_node_is_told_why_it_gets_nothing(shed):
    Node.objects.filter(pk=shed.node.pk).update(state="DRAINING")

    answer = claim(shed)

    assert (answer.status_code, body(answer)["code"]) == (409, "node_not_working")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_retired_nodes_key_opens_nothing(shed):
    Node.objects.filter(pk=shed.node.pk).update(state="RETIRED")

    assert claim(shed).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CLAIM),
        ("POST", BEAT),
        ("PUT", OFFER),
        ("DELETE", OFFER),
        ("GET", f"/api/v1/node/blobs/sha256:{64 * 'a'}"),
    ],
)
def test_without_a_signature_nothing_opens(db, client, method, path):
    answer = client.generic(method, path, b"{}", content_type="application/json")

    assert (answer.status_code, body(answer)["code"]) == (401, "signature_missing")


def test_a_members_token_opens_no_address_of_nodes(alice, client):
    from accounts import services as accounts

    _, secret = accounts.issue_api_token(membership=alice, name="all", scopes=["jobs:write"], now=database_now())

    answer = client.post(CLAIM, {"max_tasks": 1}, "application/json", headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 401


def test_a_changed_body_is_refused(alice, shed):
    world.start(alice)
    headers = shed.agent.headers("POST", CLAIM, b'{"max_tasks": 1}')

    answer = shed.agent.send("POST", CLAIM, b'{"max_tasks": 9}', headers=headers)

    assert answer.status_code == 401
    assert not Attempt.objects.exists()


def test_a_replayed_claim_takes_nothing(alice, shed):
    world.start(alice, 2, max_parallel=2)
    headers = shed.agent.headers("POST", CLAIM, b'{"max_tasks": 1}')

    codes = [shed.agent.send("POST", CLAIM, b'{"max_tasks": 1}', headers=headers).status_code for _ in range(2)]

    assert codes == [200, 401]
    assert Attempt.objects.count() == 1


def test_a_heartbeat_says_what_to_stop_and_whether_work_waits(alice, shed, given):
    world.start(alice, 2)
    beats = [{"attempt_id": given.attempt_id, "token": given.token}, {"attempt_id": 2**40, "token": 1}]

    answer = shed.agent.send("POST", BEAT, {"slots_free": 3, "load_permille": 10, "attempts": beats})

    reply = messages.HeartbeatReply.model_validate_json(answer.content)
    assert (reply.node_state, reply.stale_attempt_ids, reply.work_waiting) == ("ACTIVE", (2**40,), True)


@pytest.mark.parametrize("many", [1, 4])
def test_a_heartbeat_asks_as_many_questions_for_four_attempts_as_for_one(
    alice, shed, django_assert_max_num_queries, many
):
    for _ in range(many):
        world.start(alice)
    beats = [{"attempt_id": a.attempt_id, "token": a.token} for a in shed.claim(many)]
    assert len(beats) == many

    with django_assert_max_num_queries(13):
        shed.agent.send("POST", BEAT, {"slots_free": 3, "load_permille": 10, "attempts": beats})


def test_an_offer_is_kept_and_withdrawn(olga):
    machine = world.Machine(olga, offers=False)

    kept = [machine.agent.send("PUT", OFFER, {"lots": 9, "price_micro": 5}) for _ in range(2)]
    gone = machine.agent.send("DELETE", OFFER)
    world.tick(olga.cooperative)

    assert body(kept[0]) == body(kept[1])
    assert body(kept[0])["lots"] == 4
    assert gone.status_code == 204
    assert Order.objects.get().state == "CANCELLED"


def test_a_nodes_key_cannot_go_below_its_owners_floor(olga):
    machine = world.Machine(olga, offers=False)
    Node.objects.update(floor_price_micro=100)

    answer = machine.agent.send("PUT", OFFER, {"lots": 1, "price_micro": 99})

    assert (answer.status_code, body(answer)["code"]) == (422, "price_below_floor")
    assert not Order.objects.exists()


def test_a_node_fetches_only_what_its_running_attempts_need(alice, shed, given, barn):
    digest = given.inputs[0].digest
    other = world.a_file(alice)

    assert barn.agent.send("GET", f"/api/v1/node/blobs/{digest}").status_code == 404
    assert shed.agent.send("GET", f"/api/v1/node/blobs/{other.digest}").status_code == 404
    assert shed.agent.send("GET", f"/api/v1/node/blobs/{given.bundle.digest}").status_code == 200
    shed.fail(given)
    assert shed.agent.send("GET", f"/api/v1/node/blobs/{digest}").status_code == 404


def test_an_output_whose_bytes_are_not_the_signed_ones_is_not_stored(shed, given, stored_files):
    path = f"/api/v1/node/attempts/{given.attempt_id}/{given.token}/outputs/answer.txt"
    headers = shed.agent.headers("PUT", path, b"42")
    before = stored_files()

    answer = upload(shed, given, b"43", headers=headers)

    assert (answer.status_code, body(answer)["code"]) == (422, "digest_mismatch")
    assert not AttemptOutput.objects.exists()
    assert stored_files() == before


def test_an_output_beyond_the_limit_is_not_stored(shed, given, stored_files):
    before = stored_files()

    answer = upload(shed, given, bytes(1024 * 1024 + 1))

    assert answer.status_code == 413
    assert not AttemptOutput.objects.exists()
    assert stored_files() == before


def test_the_second_of_two_files_that_are_too_large_together_is_refused(shed, given):
    assert upload(shed, given, bytes(700_000), "a").status_code == 201

    answer = upload(shed, given, bytes(700_000), "b")

    assert (answer.status_code, body(answer)["code"]) == (413, "too_much_output")
    assert list(AttemptOutput.objects.values_list("name", flat=True)) == ["a"]


@pytest.mark.parametrize("name", [".hidden", "a b", "-rf", "x" * 101])
def test_a_bad_name_is_refused(shed, given, name):
    from urllib.parse import quote

    answer = upload(shed, given, b"42", quote(name))

    assert (answer.status_code, body(answer)["code"]) == (422, "invalid")


def test_a_stale_token_uploads_nothing(shed, given):
    answer = upload(shed, given, b"42", token=given.token + 1)

    assert (answer.status_code, body(answer)["code"]) == (409, "stale_token")
    assert not AttemptOutput.objects.exists()


def test_a_late_result_is_told_that_its_token_is_stale(shed, given):
    outputs = shed.upload(given, {"answer.txt": b"42"})
    world.expire(given)

    answer = result(shed, given, shed.signed(shed.receipt(given, outputs)))

    assert (answer.status_code, body(answer)["code"]) == (409, "stale_token")


def test_a_wrong_receipt_says_what_is_wrong(shed, given):
    answer = result(shed, given, shed.signed(shed.receipt(given, (), exit_reason=messages.ExitReason.OOM)))

    assert (answer.status_code, body(answer)["code"]) == (422, "wrong_receipt")
    assert "oom" in body(answer)["detail"]


def test_a_failure_is_taken_once(shed, given):
    first, second = failure(shed, given), failure(shed, given)

    assert (first.status_code, body(first)["state"]) == (200, "FAILED")
    assert (second.status_code, body(second)["code"]) == (409, "stale_token")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exit_reason": "ok"}, "not_a_failure"),
        ({"exit_reason": "bored"}, "invalid_message"),
        ({"detail": "x" * 2001}, "invalid_message"),
        ({"token": 0}, "invalid_message"),
        ({"more": 1}, "invalid_message"),
    ],
)
def test_a_failure_that_makes_no_sense_is_refused(shed, given, changes, code):
    answer = failure(shed, given, **changes)

    assert (answer.status_code, body(answer)["code"]) == (422, code)
    assert world.attempt(given).state == "RUNNING"


@pytest.mark.parametrize("path", ["result", "failure"])
def test_ids_beyond_the_database_are_no_crash(shed, path):
    answer = shed.agent.send("POST", f"/api/v1/node/attempts/{10**30}/{path}", {})

    assert answer.status_code in (404, 422)


@pytest.mark.parametrize(("attempt", "token"), [(10**30, 1), (1, 10**30), (0, 0)])
def test_an_upload_for_ids_beyond_the_database_is_no_crash(shed, attempt, token):
    path = f"/api/v1/node/attempts/{attempt}/{token}/outputs/a"

    answer = shed.agent.send("PUT", path, b"1", content_type="application/octet-stream")

    assert answer.status_code in (404, 409)


def test_results_of_blobs_that_were_stored_before_are_no_conflict(shed, given):
    registry.store_blob(chunks=[b"42"], limit_bytes=2)

    assert upload(shed, given, b"42").status_code == 201
