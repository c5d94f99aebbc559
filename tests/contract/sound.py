"""Bodies that make sense, for what needs a secret, a signature or things that fit; made where Django is set up.

A drawn body is refused for one of these long before the act, so that its answer would never be seen.
"""

from opengrid import keys


def bodies(founder, member, publisher, operator, node, now):
    """Role -> operation id -> body. `node` is the operator's, `publisher` the member's signing self."""
    from nodes.models import Node
    from tests.dashboard import scenes
    from tests.nodes import agents
    from tests.registry import models

    place = Node.objects.get(pk=node["id"])
    blob = scenes.a_blob(member)
    model = models.linear()
    publisher.store(model)
    manifest, signature = publisher.sign({"model.onnx": model}, name="sound", version="1.0.0")
    job = {
        "name": "rows",
        "runner": "python",
        "bundle": {"name": "main.py", "digest": blob.digest, "size_bytes": blob.size_bytes},
        "inputs": [{"name": "rows.npy", "digest": blob.digest, "size_bytes": blob.size_bytes}],
        "assurance": "none",
        "limit_price_micro": 1_000_000,
    }
    private, found = agents.a_key(), agents.signed(_key(node), agents.record(place))
    return {
        "stranger": {"join": _newcomer(founder, now), "node_join": _machine(operator, now)},
        "member": {
            "job_submit": job,
            "job_estimate": job,
            "publisher_keys_create": {
                "public_key": private.public_text,
                "proof": models.proof(private, member),
            },
            "model_version_publish": {"manifest": manifest, "signature": signature},
            "transfer_send": {"to_member_id": founder.pk, "amount_micro": 1, "reason": "thanks"},
        },
        "operator": {
            "order_place": {
                "book_id": scenes.market.book_for(operator.cooperative).pk,
                "side": "SELL",
                "node_id": place.pk,
                "lots": 1,
                "price_micro": 1_000_000,
            },
            "node_shares_set": {"shares": [{"member_id": operator.pk, "share_bp": 10_000}]},
            "node_capabilities": found.document(),
            "node_offer": {"lots": 1, "price_micro": 1_000_000},
            "node_claim": {"max_tasks": 1},
        },
        "steward": {
            "policy_propose": {"rules": {"spare_claims": 5}, "reason": "more patience"},
            "member_roles_set": {"roles": ["MEMBER"], "reason": "as before"},
            "credit_issue_propose": {"to": founder.pk, "amount_micro": 20_000_000_000, "reason": "much"},
        },
    }


def _newcomer(founder, now):
    from accounts import services as accounts

    _, token = accounts.invite(by=founder, roles=["MEMBER"], now=now)
    person = {"email": "nobody@example.net", "password": "a long sentence of one's own", "display_name": "Nobody"}
    return {"token": token, **person, "scopes": ["jobs:read"]}


def _machine(operator, now):
    from nodes import services as nodes
    from tests.nodes import agents

    _, secret = nodes.create_join_token(membership=operator, now=now, floor_price_micro=1)
    return agents.join_request(secret).document()


def _key(node):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return keys.PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(node["key"])))
