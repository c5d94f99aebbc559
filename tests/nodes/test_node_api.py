"""The addresses an agent and a member call, from the outside."""

import json

import pytest
from django.test import Client

from accounts import services as accounts
from common.clock import database_now
from nodes import services
from nodes.models import CapabilityStatement, JoinToken, Node
from opengrid import keys, messages
from tests.nodes import agents

JOIN = "/api/v1/nodes/join"
CAPABILITIES = "/api/v1/node/capabilities"


@pytest.fixture
def secret(olga):
    return services.create_join_token(membership=olga, floor_price_micro=700, now=database_now())[1]


def logged_in(membership):
    client = Client()
    client.force_login(membership.user)
    return client


def post(client, path, document):
    body = document if isinstance(document, str | bytes) else json.dumps(document)
    return client.post(path, body, content_type="application/json")


def test_a_machine_joins_and_is_told_its_rhythm(client, secret, olga):
    request = agents.join_request(secret)

    answer = post(client, JOIN, request.document())

    assert answer.status_code == 201
    reply = messages.JoinReply.model_validate_json(answer.content)
    assert (reply.node_id, reply.cooperative) == (Node.objects.get().pk, "Riverside")
    assert (reply.heartbeat_seconds, reply.poll_seconds) == (5, 2)


def test_a_used_token_is_a_conflict(client, secret, olga):
    post(client, JOIN, agents.join_request(secret).document())

    answer = post(client, JOIN, agents.join_request(secret).document())

    assert (answer.status_code, answer.json()["code"]) == (409, "join_token_used")
    assert Node.objects.count() == 1


def hostile_bodies():
    good = {
        "token": "t" * 30,
        "public_key": "ed25519:" + "A" * 43,
        "proof": "A" * 86,
        "name": "n",
        "agent_version": "1",
    }
    text = json.dumps(good)
    return [
        (" ", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        ("[]", 422, "invalid_message"),
        ("null", 422, "invalid_message"),
        (text[:-1] + ', "name": "twice"}', 400, "malformed_json"),
        (text[:-1] + ', "protocol": NaN}', 400, "malformed_json"),
        (text[:-1] + ', "protocol": 2}', 422, "invalid_message"),
        (text[:-1] + ', "is_admin": true}', 422, "invalid_message"),
        (text.replace('"n"', '"a\\u0000b"'), 400, "malformed_json"),
        (text.replace('"n"', '"\\ud800"'), 422, "invalid_message"),
        (text.replace('"n"', '"' + "n" * 101 + '"'), 422, "invalid_message"),
        (text.replace('"n"', "7"), 422, "invalid_message"),
        ("[" * 100_000, 400, "malformed_json"),
        (b'{"token": "\xff\xfe"}', 400, "malformed_json"),
        (text.replace('"n"', '"' + "n" * 1_100_000 + '"'), 413, "body_too_large"),
    ]


@pytest.mark.parametrize(("body", "status", "code"), hostile_bodies())
def test_a_hostile_body_is_refused_with_a_typed_code(client, db, body, status, code):
    answer = post(client, JOIN, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not Node.objects.exists()


def test_the_faults_of_a_message_are_listed_by_field(client, db):
    answer = post(client, JOIN, {"token": "short", "surprise": 1})

    errors = {(fault["field"], fault["code"]) for fault in answer.json()["errors"]}
    assert ("token", "string_too_short") in errors
    assert ("surprise", "extra_forbidden") in errors


def test_only_json_is_taken(client, db):
    answer = client.post(JOIN, b"token=x", content_type="application/x-www-form-urlencoded")

    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")


def test_capabilities_are_accepted_and_answered(new_agent):
    body = agents.signed(new_agent.private, agents.record(new_agent.node)).model_dump_json().encode()

    answer = new_agent.send("POST", CAPABILITIES, body)

    reply = messages.CapabilityReply.model_validate_json(answer.content)
    assert (reply.node_state, reply.sellable_lots, reply.floor_price_micro) == ("PROBATION", 4, 1000)


def test_a_failed_self_test_is_answered_with_its_reason(new_agent):
    record = agents.record(new_agent.node, sandbox={"passed": False})
    body = agents.signed(new_agent.private, record).model_dump_json().encode()

    reply = messages.CapabilityReply.model_validate_json(new_agent.send("POST", CAPABILITIES, body).content)

    assert (reply.node_state, reply.sellable_lots, reply.reason) == ("JOINED", 0, "sandbox_not_passed")


def test_a_node_cannot_speak_for_another(new_agent, olga):
    other = agents.an_agent(olga)
    record = agents.record(other.node)
    for body in (agents.signed(new_agent.private, record), agents.signed(other.private, record)):
        answer = new_agent.send("POST", CAPABILITIES, body.model_dump_json().encode())
        assert answer.status_code == 422

    assert not CapabilityStatement.objects.exists()


def test_an_oversized_signed_body_is_refused_before_it_is_read(new_agent):
    answer = new_agent.send("POST", CAPABILITIES, b" " * 1_048_577)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_drain_resume_and_retire_answer_with_the_new_state(agent):
    states = [agent.send("POST", f"/api/v1/node/{act}").json()["node_state"] for act in ("drain", "resume", "retire")]

    assert states == ["DRAINING", "PROBATION", "RETIRED"]
    assert agent.send("POST", "/api/v1/node/drain").json()["code"] == "node_retired"


def test_an_operator_makes_a_join_token_in_a_session(olga):
    answer = post(logged_in(olga), "/api/v1/nodes/join-tokens", {"floor_price_micro": 900, "zone": "north"})

    assert answer.status_code == 201
    token = JoinToken.objects.get()
    assert (token.membership, token.floor_price_micro, token.zone) == (olga, 900, "north")
    joined = post(Client(), JOIN, agents.join_request(answer.json()["token"]).document())
    assert joined.status_code == 201


def test_a_session_without_its_csrf_token_makes_none(olga):
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga.user)

    answer = post(client, "/api/v1/nodes/join-tokens", {"floor_price_micro": 900})

    assert answer.status_code == 403
    assert not JoinToken.objects.exists()


def test_a_plain_member_makes_no_join_token(alice):
    answer = post(logged_in(alice), "/api/v1/nodes/join-tokens", {"floor_price_micro": 900})

    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
    assert not JoinToken.objects.exists()


def test_members_see_the_fleet_of_their_cooperative(agent, alice, charlie):
    theirs = agents.an_agent(charlie)

    listed = logged_in(alice).get("/api/v1/nodes").json()["nodes"]
    detail = logged_in(alice).get(f"/api/v1/nodes/{agent.node.pk}").json()

    assert [(node["id"], node["state"], node["owner"], node["is_own"]) for node in listed] == [
        (agent.node.pk, "PROBATION", "Olga", False)
    ]
    assert detail["node"] == listed[0]
    assert [event["reason"] for event in detail["events"]] == ["probation_began", "benchmark_accepted", "joined"]
    assert logged_in(alice).get(f"/api/v1/nodes/{theirs.node.pk}").status_code == 404
    assert logged_in(alice).get(f"/api/v1/nodes/{2**70}").status_code == 404


def test_the_list_costs_the_same_for_many_nodes(alice, olga, django_assert_num_queries):
    client = logged_in(alice)
    for _ in range(5):
        agents.an_agent(olga)

    # session, user, membership, time, nodes with operators
    with django_assert_num_queries(5):
        client.get("/api/v1/nodes")


def test_nodes_come_in_pages_and_through_filters(bob, olga):
    made = [agents.an_agent(olga, node_name=name, zone=zone).node for name, zone in (("a", "east"), ("b", "west"))]
    working = agents.an_agent(bob, working_now=True).node

    def listed(member, **wanted):
        answer = logged_in(member).get("/api/v1/nodes", wanted).json()
        return [node["id"] for node in answer["nodes"]], answer["next"]

    first, more = listed(bob, limit="2")

    assert (first, listed(bob, limit="2", cursor=more)) == ([working.pk, made[1].pk], ([made[0].pk], None))
    assert listed(bob, state="PROBATION")[0] == listed(bob, own="true")[0] == [working.pk]
    assert listed(olga, own="false")[0] == [working.pk]
    assert listed(olga, search="EAST")[0] == [made[0].pk]
    for wanted in ({"state": "probation"}, {"cursor": "x"}, {"limit": "201"}, {"zone": "east"}):
        refused = logged_in(olga).get("/api/v1/nodes", wanted)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_query")


def test_an_api_token_with_the_scope_reads_nodes(agent, alice):
    _, secret = accounts.issue_api_token(membership=alice, name="cli", scopes=["jobs:read"], now=database_now())

    answer = Client().get("/api/v1/nodes", headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 200


def test_strangers_are_asked_who_they_are(client, agent):
    for path in ("/api/v1/nodes", f"/api/v1/nodes/{agent.node.pk}"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers


def test_a_proof_for_another_key_joins_nothing(client, secret, olga):
    document = agents.join_request(secret).document() | {"proof": keys.join_proof(agents.a_key(), secret)}

    answer = post(client, JOIN, document)

    assert (answer.status_code, answer.json()["code"]) == (422, "join_proof_invalid")
    assert JoinToken.objects.get().used_at is None
