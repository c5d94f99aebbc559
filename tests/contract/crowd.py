"""A cooperative of its own for the campaign: people with spare selves, throw-away nodes, and something of everything.

What the campaign does to it (nodes retired, members gone, roles taken) is nobody else's loss. `found` runs in a process
that has Django set up: `python -m tests.contract.founding crowd`.
"""

import secrets

NODES_EACH = 3
CREDITS = 200
PENDING = 4
MUCH_MICRO = 20_000 * 10**6
"""What a second steward has to agree to."""
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def found(slug, selves):
    """Make the cooperative with `selves` people of each role; credentials by role, what requests may name."""
    from accounts import services as accounts
    from common.clock import database_now
    from tests.contract import sound
    from tests.dashboard import scenes
    from tests.registry import models

    now = database_now()
    founder = accounts.create_person(email=f"{slug}@example.net", password=secrets.token_hex(16), display_name=slug)
    cooperative = accounts.found_cooperative(name=slug.title(), slug=slug, founder=founder, now=now)
    first = cooperative.memberships.get()
    people = {
        role: [_join(first, f"{slug}-{role}-{number}", ["MEMBER", *held], now) for number in range(selves)]
        for role, held in (("member", []), ("operator", ["OPERATOR"]), ("steward", ["STEWARD"]))
    }
    for membership in (first, *(each for selves in people.values() for each in selves)):
        scenes.credit(first, membership, CREDITS, now)
    publisher = models.Publisher(people["member"][0], now)
    version = publisher.publish(name=f"{slug}-digits")
    operators = [(_token(each, now), [_node(each, now) for _ in range(NODES_EACH)]) for each in people["operator"]]
    node = operators[0][1][0]
    job = _job(people["member"][0], node["id"], version, now)
    for _ in range(PENDING):
        accounts.propose_credit_issue(
            by=first, to_address=first.wallet, amount_micro=MUCH_MICRO, reason="to be decided on", now=now
        )
    accounts.invite(by=first, roles=["MEMBER"], now=now)
    return {
        "cooperative_id": cooperative.pk,
        "member": [{"token": _token(each, now)} for each in people["member"]],
        "operator": [{"token": token, "nodes": nodes} for token, nodes in operators],
        "steward": [_session(each) for each in people["steward"]],
        "known": job,
        "sound": sound.bodies(first, people["member"][0], publisher, people["operator"][0], node, now),
    }


def _join(steward, name, held, now):
    from accounts import services as accounts

    person = accounts.create_person(
        email=f"{name}@example.net", password=secrets.token_hex(16), display_name=name.title()
    )
    _, token = accounts.invite(by=steward, roles=held, now=now)
    return accounts.accept_invitation(token=token, user=person, now=now)


def _token(membership, now):
    """An API token with every scope."""
    from accounts import services as accounts
    from accounts.core import roles

    return accounts.issue_api_token(membership=membership, name="campaign", scopes=roles.SCOPES, now=now)[1]


def _session(membership):
    """A session as signing in makes one, and what its changes carry in X-CSRFToken."""
    from django.middleware.csrf import CSRF_SESSION_KEY
    from django.test import Client

    client = Client()
    client.force_login(membership.user, backend=BACKEND)
    session = client.session
    session[CSRF_SESSION_KEY] = secrets.token_hex(16)
    session.save()
    return {"session": client.cookies["sessionid"].value, "csrf": session[CSRF_SESSION_KEY]}


def _node(operator, now):
    """A node that may work, and the private half of its key."""
    from tests.nodes import agents

    private = agents.a_key()
    node = agents.working(operator, now, private=private, floor_price_micro=1_000)
    return {"id": node.pk, "key": private.key.private_bytes_raw().hex()}


def _job(member, node_id, version, now):
    """A job with a task that is done and one that the first node runs; what addresses may name of it."""
    from accounts.core import roles
    from nodes.models import Node
    from tests.dashboard import scenes

    node = Node.objects.select_related("operator__user").get(pk=node_id)
    job = scenes.a_job(member, now, version=version)
    lease = scenes.a_lease(node, member, reference=job.reference)
    done, begun = job.tasks.order_by("index")[:2]
    scenes.accept(done, [scenes.an_attempt(done, node, lease, now, state="SUBMITTED", labels=[1, 2])], [], now)
    running = scenes.an_attempt(begun, node, lease, now)
    return {
        "job_id": [job.pk],
        "attempt_id": [running.pk],
        "token": [running.token],
        "digest": [job.tasks.first().input.digest],
        "task_index": [0],
        "name": ["labels.npy"],
        "version_id": [version.pk],
        "scopes": list(roles.SCOPES),
        "roles": list(roles.ALL),
    }
