"""What members call: submit, follow, fetch, cancel; who may, with which token, and how lists are cut in pages."""

import json

import numpy as np
import pytest
from django.test import Client

from accounts import services as accounts
from common.clock import database_now
from opengrid import messages, npy
from scheduler.api import members as api
from scheduler.models import Job
from scheduler.services import jobs
from tests.scheduler import world

JOBS = "/api/v1/jobs"


def body(answer):
    return json.loads(answer.content)


@pytest.fixture
def token():
    """A client that bears a token of a member with these scopes."""

    def issue(member, *scopes):
        _, secret = accounts.issue_api_token(
            membership=member, name="t", scopes=scopes or ["jobs:read", "jobs:write"], now=database_now()
        )
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return issue


@pytest.fixture
def hers(token, alice):
    return token(alice)


def post(client, spec, **headers):
    document = spec if isinstance(spec, dict) else spec.model_dump(mode="json")
    return client.post(JOBS, document, "application/json", headers=headers)


@pytest.fixture
def done(alice, shed):
    """A job of two tasks that is done, with an array as output."""
    job = world.start(alice, 2)
    for given in shed.claim(2):
        shed.deliver(given, npy.dump(np.arange(3)), name="y.npy")
    world.verify_all(job)
    jobs.finish_if_over(job_id=job.pk, now=database_now())
    job.refresh_from_db()
    return job


def test_a_job_is_taken_in_with_what_it_holds(alice, shed, hers):
    answer = post(hers, world.a_spec(alice, 2))

    job = Job.objects.get()
    assert answer.status_code == 202
    assert body(answer) == {"id": job.pk, "state": "SUBMITTED", "tasks_total": 2, "held_micro": 40_000}


def test_a_key_in_the_header_makes_one_job_of_two_requests(alice, shed, hers):
    spec = world.a_spec(alice)

    answers = [post(hers, spec, **{"Idempotency-Key": "mine"}) for _ in range(2)]
    other = post(hers, world.a_spec(alice), **{"Idempotency-Key": "mine"})

    assert answers[0].content == answers[1].content
    assert (other.status_code, body(other)["code"]) == (409, "idempotency_key_reused")
    assert Job.objects.count() == 1


def test_a_key_of_two_hundred_and_one_characters_is_refused(alice, shed, hers):
    answer = post(hers, world.a_spec(alice), **{"Idempotency-Key": "k" * 201})

    assert (answer.status_code, body(answer)["code"]) == (422, "idempotency_key_invalid")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"memory_mib": 1_000_000}, 422, "impossible_job"),
        ({"limit_price_micro": 10**13}, 402, "insufficient_funds"),
        ({"rows_per_task": 3}, 422, "wrong_input"),
        ({"assurance": "quorum-9"}, 422, "invalid_message"),
        ({"inputs": []}, 422, "invalid_message"),
        ({"limit_price_micro": 0}, 422, "invalid_message"),
        ({"limit_price_micro": 1.5}, 422, "invalid_message"),
        ({"max_seconds": 3601}, 422, "invalid_message"),
        ({"name": ""}, 422, "invalid_message"),
        ({"surprise": 1}, 422, "invalid_message"),
        ({"model_version_id": 10**30}, 422, "invalid_message"),
    ],
)
def test_a_refusal_is_a_typed_problem_and_leaves_nothing(alice, shed, hers, changes, status, code):
    answer = post(hers, world.a_spec(alice).model_dump(mode="json") | changes)

    found = body(answer)
    assert (answer.status_code, found["status"], found["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert found["type"] == f"/docs/errors#{code}"
    assert found["detail"]
    assert not Job.objects.exists()


def test_an_impossible_job_names_the_constraint(alice, shed, hers):
    answer = post(hers, world.a_spec(alice, zones=("moon",)))

    assert body(answer)["constraints"] == {"zone": 1}


@pytest.mark.parametrize("text", [b"{", b'{"name": "a", "name": "b"}', b'{"limit_price_micro": NaN}', b"[" * 10_000])
def test_what_is_no_strict_json_is_refused(hers, text):
    answer = hers.generic("POST", JOBS, text, content_type="application/json")

    assert (answer.status_code, body(answer)["code"]) == (400, "malformed_json")


def test_a_body_beyond_a_mebibyte_is_refused(hers):
    answer = hers.generic("POST", JOBS, b" " * (1024 * 1024 + 1), content_type="application/json")

    assert answer.status_code == 413


def test_somebody_elses_file_does_not_exist(alice, pete, shed, hers):
    answer = post(hers, world.a_spec(alice, inputs=(world.a_file(pete),)))

    assert (answer.status_code, body(answer)["code"]) == (404, "not_found")


def test_a_job_shows_progress_and_bill(alice, shed, hers, done):
    found = body(hers.get(f"{JOBS}/{done.pk}"))

    assert (found["state"], found["reason"], found["waiting"]) == ("DONE", "", "")
    assert found["tasks"] == {"total": 2, "accepted": 2, "failed": 0, "cancelled": 0, "running": 0}
    assert found["bill"] == {
        "held_micro": 40_000,
        "compute_micro": 2000,
        "royalty_micro": 0,
        "total_micro": 2000,
        "released_micro": 38_000,
        "remaining_micro": 0,
        "assurance_paid_micro": 0,
    }


def test_a_job_says_why_it_waits(alice, shed, hers):
    job = world.submit(alice)
    waits = [body(hers.get(f"{JOBS}/{job.pk}"))["waiting"]]
    jobs.expand_job(job_id=job.pk, now=database_now())
    waits.append(body(hers.get(f"{JOBS}/{job.pk}"))["waiting"])
    world.tick(alice.cooperative)
    (given,) = shed.claim()
    waits.append(body(hers.get(f"{JOBS}/{job.pk}"))["waiting"])
    shed.deliver(given)
    waits.append(body(hers.get(f"{JOBS}/{job.pk}"))["waiting"])

    assert waits == ["waiting_for_expansion", "waiting_for_capacity", "", "waiting_for_verdict"]


def test_attempts_come_with_receipts_that_anybody_can_check(shed, hers, done):
    from opengrid import keys

    found = body(hers.get(f"{JOBS}/{done.pk}/attempts"))["attempts"]

    assert [line["state"] for line in found] == ["ACCEPTED"] * 2
    for line in found:
        keys.verify_document(line["node_public_key"], keys.RECEIPT, line["receipt"], line["receipt_signature"])
        receipt = messages.Receipt.model_validate_json(json.dumps(line["receipt"]))
        assert receipt.attempt_id == line["id"]


def test_outputs_are_those_of_the_accepted_results_and_can_be_fetched(hers, done):
    found = body(hers.get(f"{JOBS}/{done.pk}/outputs"))["outputs"]

    assert [(line["task_index"], line["name"]) for line in found] == [(0, "y.npy"), (1, "y.npy")]
    file = hers.get(f"{JOBS}/{done.pk}/outputs/1/y.npy")
    assert np.array_equal(npy.load(b"".join(file.streaming_content)), np.arange(3))
    assert hers.get(f"{JOBS}/{done.pk}/outputs/1/z.npy").status_code == 404
    assert hers.get(f"{JOBS}/{done.pk}/outputs/{10**30}/y.npy").status_code == 404


def test_a_rejected_result_is_nobodys_output(alice, shed, hers):
    job = world.start(alice)
    shed.deliver(shed.claim()[0])

    assert body(hers.get(f"{JOBS}/{job.pk}/outputs"))["outputs"] == []


def test_the_timeline_tells_every_step_newest_first(hers, done):
    found = [line["reason"] for line in body(hers.get(f"{JOBS}/{done.pk}/events"))["events"]]

    assert found == ["job_done", "job_started", "order_placed", "job_expanded", "job_submitted"]


def test_a_cancel_is_answered_with_the_job_and_is_not_possible_twice(alice, shed, hers):
    job = world.start(alice)

    first, second = (hers.post(f"{JOBS}/{job.pk}/cancel") for _ in range(2))

    assert (first.status_code, body(first)["state"]) == (200, "CANCELLED")
    assert (second.status_code, body(second)["code"]) == (409, "job_already_finished")


PATHS = [
    ("GET", "/{id}"),
    ("POST", "/{id}/cancel"),
    ("GET", "/{id}/attempts"),
    ("GET", "/{id}/outputs"),
    ("GET", "/{id}/outputs/0/y.npy"),
    ("GET", "/{id}/events"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_an_outsider_and_another_member_see_no_such_job(token, charlie, pete, done, method, path):
    for stranger in (charlie, pete):
        answer = token(stranger).generic(method, JOBS + path.format(id=done.pk))
        assert (answer.status_code, body(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [pair for pair in PATHS if pair[0] == "GET"])
def test_a_steward_may_look_at_every_job(token, bob, done, method, path):
    assert token(bob).get(JOBS + path.format(id=done.pk)).status_code == 200


def test_but_not_cancel_it(token, bob, alice, shed):
    job = world.start(alice)

    answer = token(bob).post(f"{JOBS}/{job.pk}/cancel")

    assert (answer.status_code, body(answer)["code"]) == (403, "forbidden")


def test_a_stewards_token_that_only_submits_shows_the_stewards_own_jobs(token, alice, bob, shed):
    job = world.start(alice)
    client = token(bob, "jobs:write")

    assert client.get("/api/v1/jobs").json()["jobs"] == []
    assert client.get(f"/api/v1/jobs/{job.pk}").status_code == 404
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 404


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["jobs:read"], {"list": 200, "submit": 403, "cancel": 403}),
        (["jobs:write"], {"list": 200, "submit": 202, "cancel": 200}),
        (["wallet:read"], {"list": 403, "submit": 403, "cancel": 403}),
        (["models:write"], {"list": 403, "submit": 403, "cancel": 403}),
    ],
)
def test_a_token_opens_what_its_scopes_say(alice, shed, token, scopes, allowed):
    client, job = token(alice, *scopes), world.start(alice)

    found = {
        "list": client.get(JOBS).status_code,
        "submit": post(client, world.a_spec(alice)).status_code,
        "cancel": client.post(f"{JOBS}/{job.pk}/cancel").status_code,
    }

    assert found == allowed


def test_a_role_that_may_not_submit_is_refused(cooperative, shed, token):
    auditor = world.a_member(cooperative, "Uma", roles=("AUDITOR",))

    answer = post(token(auditor), world.a_spec(auditor))

    assert answer.status_code == 403
    assert not Job.objects.exists()


def test_nobody_is_let_in_without_a_token(client, db):
    assert (client.get(JOBS).status_code, post(client, {}).status_code) == (401, 401)


def test_a_nodes_key_opens_no_address_of_members(shed, done):
    for method, path in [("GET", ""), *PATHS]:
        answer = shed.agent.send(method, JOBS + path.format(id=done.pk))
        assert answer.status_code in (401, 403), path


def test_lists_come_in_pages_that_miss_and_repeat_nothing(alice, shed, hers):
    made = [world.submit(alice).pk for _ in range(5)]

    pages, cursor = [], None
    while True:
        page = body(hers.get(JOBS, {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})))
        pages.append([line["id"] for line in page["jobs"]])
        cursor = page["next"]
        if cursor is None:
            break

    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


@pytest.mark.parametrize("rest", ["attempts", "events"])
def test_parts_of_a_job_come_in_pages_as_well(hers, done, rest):
    whole = body(hers.get(f"{JOBS}/{done.pk}/{rest}"))[rest]

    first = body(hers.get(f"{JOBS}/{done.pk}/{rest}", {"limit": "1"}))
    second = body(hers.get(f"{JOBS}/{done.pk}/{rest}", {"cursor": first["next"]}))

    assert first[rest] + second[rest] == whole
    assert (len(first[rest]), second["next"]) == (1, None)


def test_outputs_come_in_pages_as_well(hers, done, monkeypatch):
    monkeypatch.setattr(api, "OUTPUTS_PAGE", 1)

    first = body(hers.get(f"{JOBS}/{done.pk}/outputs"))
    second = body(hers.get(f"{JOBS}/{done.pk}/outputs", {"cursor": first["next"]}))

    assert [line["task_index"] for page in (first, second) for line in page["outputs"]] == [0, 1]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "cursor=" + "1" * 19, "cursor=", "cursor=１", "before=1"])
@pytest.mark.parametrize("rest", ["", "/outputs", "/events"])
def test_a_page_that_is_none_is_refused(hers, done, query, rest):
    answer = hers.get(f"{JOBS}/{done.pk}{rest}?{query}" if rest else f"{JOBS}?{query}")

    assert (answer.status_code, body(answer)["code"]) == (422, "invalid_query")


def test_jobs_are_found_by_state_name_and_whose_they_are(alice, bob, shed, hers, token, done):
    waiting = world.submit(alice, name="Classify the scans")

    def found(client, **query):
        return [line["id"] for line in body(client.get(JOBS, query))["jobs"]]

    assert found(hers, state="DONE") == [done.pk]
    assert found(hers, search="SCANS") == [waiting.pk]
    assert found(hers, search="%") == []
    assert found(hers, own="false") == found(token(bob), own="true") == []
    assert found(token(bob), own="false") == [waiting.pk, done.pk]


def test_an_estimate_says_what_a_job_would_hold_and_submits_nothing(alice, shed, hers, balances):
    answer = hers.post(f"{JOBS}/estimate", world.a_spec(alice, 2).model_dump(mode="json"), "application/json")

    assert (answer.status_code, body(answer)) == (
        200,
        {"tasks_total": 2, "executions": 1, "held_micro": 40_000, "nodes_able": 1, "nodes_total": 1},
    )
    assert not Job.objects.exists()
    assert balances(alice.wallet) == [1_000_000_000]


def test_an_estimate_of_the_impossible_names_the_constraint(alice, shed, hers):
    spec = world.a_spec(alice, zones=("moon",)).model_dump(mode="json")

    answer = hers.post(f"{JOBS}/estimate", spec, "application/json")

    assert (answer.status_code, body(answer)["constraints"]) == (422, {"zone": 1})


@pytest.mark.parametrize("many", [1, 6])
def test_lists_ask_as_many_questions_for_six_as_for_one(alice, shed, hers, many, django_assert_num_queries):
    job = [world.start(alice, many) for _ in range(many)][-1]
    hers.get(JOBS)

    with django_assert_num_queries(5):
        hers.get(JOBS)
    with django_assert_num_queries(12):
        hers.get(f"{JOBS}/{job.pk}")
    with django_assert_num_queries(6):
        hers.get(f"{JOBS}/{job.pk}/attempts")
