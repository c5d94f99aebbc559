"""Only the node's own key, freshly and once, for exactly this request (RFC 9421)."""

import datetime

import pytest
import redis
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from common.clock import database_now
from nodes import authentication, services
from opengrid import http_signatures
from tests.nodes import agents

STATUS = "/api/v1/node"
DRAIN = "/api/v1/node/drain"
CAPABILITIES = "/api/v1/node/capabilities"


def state(agent):
    agent.node.refresh_from_db()
    return agent.node.state


def refused(agent, answer, code, status=401):
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert state(agent) == "PROBATION"
    return answer.json()


def test_a_signed_request_is_that_of_its_node(agent):
    answer = agent.send("GET", STATUS)

    assert answer.status_code == 200
    assert answer.json() == {
        "node_state": "PROBATION",
        "sellable_lots": 4,
        "floor_price_micro": 1000,
        "reason": "probation_began",
    }


def test_without_a_signature_nothing_opens(agent):
    refused(agent, agent.client.post(DRAIN), "signature_missing")


def test_another_nodes_key_is_refused(agent, olga):
    other = agents.an_agent(olga)

    refused(agent, agent.send("POST", DRAIN, private=other.private), "bad_signature")


def test_an_unknown_node_is_refused(agent):
    for key_id in ("999999999", "0", "9" * 30, "node-1", "x"):
        refused(agent, agent.send("POST", DRAIN, key_id=key_id), "unknown_key")


@pytest.mark.parametrize(("seconds", "code"), [(-301, "signature_expired"), (3600, "signature_in_future")])
def test_outside_the_window_the_answer_says_what_time_it_is(agent, seconds, code):
    created = database_now() + datetime.timedelta(seconds=seconds)

    answer = refused(agent, agent.send("POST", DRAIN, created=created), code)

    server_time = datetime.datetime.fromisoformat(answer["server_time"])
    assert abs(server_time - database_now()) < datetime.timedelta(seconds=5)


def test_a_request_within_the_window_is_accepted(agent):
    assert agent.send("POST", DRAIN, created=database_now() - datetime.timedelta(seconds=290)).status_code == 200


def test_a_replay_is_refused_and_has_no_effect(agent):
    headers = agent.headers("POST", DRAIN)
    assert agent.send("POST", DRAIN, headers=headers).status_code == 200
    assert agent.send("POST", "/api/v1/node/resume").status_code == 200

    answer = agent.send("POST", DRAIN, headers=headers)

    refused(agent, answer, "nonce_replayed")


def test_a_nonce_belongs_to_its_node(agent, olga):
    nonce = http_signatures.new_nonce()
    other = agents.an_agent(olga)

    assert agent.send("GET", STATUS, nonce=nonce).status_code == 200
    assert other.send("GET", STATUS, nonce=nonce).status_code == 200


def test_a_refused_request_does_not_use_up_its_nonce(agent, olga):
    nonce = http_signatures.new_nonce()
    refused(agent, agent.send("POST", DRAIN, private=agents.a_key(), nonce=nonce), "bad_signature")

    assert agent.send("GET", STATUS, nonce=nonce).status_code == 200


def test_without_redis_requests_pass_with_a_warning(agent, monkeypatch, caplog):
    nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(authentication, "_nonces", nowhere)

    assert agent.send("GET", STATUS).status_code == 200

    assert "Redis is away" in caplog.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/node/retire"), ("POST", f"{DRAIN}?x=1"), ("GET", DRAIN)],
)
def test_a_signature_is_for_one_method_and_address(agent, method, path):
    headers = agent.headers("POST", DRAIN)

    refused(agent, agent.send(method, path, headers=headers), "bad_signature")


def test_a_signature_is_for_one_coordinator(agent):
    headers = agent.headers("POST", DRAIN, url=f"http://other.example{DRAIN}")

    refused(agent, agent.send("POST", DRAIN, headers=headers), "bad_signature")


def test_a_changed_body_is_refused(new_agent):
    honest = agents.signed(new_agent.private, agents.record(new_agent.node)).model_dump_json().encode()
    headers = new_agent.headers("POST", CAPABILITIES, honest)

    answer = new_agent.send("POST", CAPABILITIES, honest.replace(b"8192", b"9999"), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "digest_mismatch")
    assert state(new_agent) == "JOINED"


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("Signature", lambda text: "", "signature_malformed"),
        ("Signature", lambda text: text[:-20] + "AAAA" + text[-16:], "bad_signature"),
        ("Signature", lambda text: "opengrid=:AAAA:", "signature_malformed"),
        ("Signature-Input", lambda text: text.replace('"@path" ', ""), "component_missing"),
        ("Signature-Input", lambda text: text.replace("ed25519", "hmac-sha256"), "signature_malformed"),
        ("Signature-Input", lambda text: text + ", " + text.replace("opengrid=", "twin="), "signature_malformed"),
        ("Signature-Input", lambda text: "(" * 5000, "signature_malformed"),
        ("Content-Digest", lambda text: "sha-256=:AAAA:", "signature_malformed"),
    ],
)
def test_a_forged_header_is_refused(agent, name, change, code):
    headers = agent.headers("POST", DRAIN)
    headers[name] = change(headers[name])

    refused(agent, agent.send("POST", DRAIN, headers=headers), code)


def test_a_retired_node_is_told_so(agent):
    services.retire(node=agent.node, reason="retired_by_node", now=database_now())

    answer = agent.send("GET", STATUS)

    assert (answer.status_code, answer.json()["code"]) == (403, "node_retired")


@pytest.mark.django_db(transaction=True)
def test_the_same_holds_behind_asgi(olga):
    agent = agents.an_agent(olga, working_now=True)
    client = AsyncClient()
    body = b""

    accepted = async_to_sync(client.get)(STATUS, headers=agent.headers("GET", STATUS, body))
    forged = async_to_sync(client.get)(STATUS, headers=agent.headers("GET", "/api/v1/nodes", body))

    assert (accepted.status_code, forged.status_code) == (200, 401)


def upgrade(agent, path="/ws/node", **changes):
    """The scope of a WebSocket upgrade as an ASGI server hands it over."""
    signed = agent.headers("GET", path, **({"url": f"ws://{agents.HOST}{path}"} | changes))
    headers = [(b"host", agents.HOST.encode())]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in signed.items()]
    plain, _, query = path.partition("?")
    return {
        "type": "websocket",
        "scheme": "ws",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }


def test_a_websocket_upgrade_is_signed_the_same_way(agent):
    assert authentication.node_of_scope(upgrade(agent)) == agent.node


def test_a_websocket_upgrade_is_not_replayed(agent):
    scope = upgrade(agent)
    authentication.node_of_scope(scope)

    with pytest.raises(authentication.NodeRefused) as caught:
        authentication.node_of_scope(scope)

    assert caught.value.code == "nonce_replayed"


def test_a_forged_websocket_upgrade_is_refused(agent, olga):
    for scope in (
        upgrade(agent, private=agents.a_key()),
        upgrade(agent) | {"raw_path": b"/ws/other"},
        upgrade(agent) | {"headers": []},
        upgrade(agent, created=database_now() - datetime.timedelta(seconds=400)),
    ):
        with pytest.raises(authentication.NodeRefused):
            authentication.node_of_scope(scope)
