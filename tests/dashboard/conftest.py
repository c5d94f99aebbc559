"""A cooperative at work: two operators' nodes, a published model, money, and jobs of Alice's."""

from types import SimpleNamespace

import pytest
from django.test import Client

from common.clock import database_now
from tests.dashboard import scenes


@pytest.fixture(autouse=True)
def store(settings, tmp_path):
    """A blob store of the test's own."""
    settings.BLOB_DIR = tmp_path / "blobs"


@pytest.fixture
def now(db):
    """Pages read the database's clock, so rows must be of now."""
    return database_now()


@pytest.fixture
def client_of():
    """A signed-in client of a member, and of somebody who is not signed in."""

    def make(membership=None):
        client = Client()
        if membership is not None:
            client.force_login(membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return make


@pytest.fixture
def grid(cooperative, bob, alice, olga, sam, now):
    """Alice's running job on the nodes of Olga and Sam: one task accepted, one running, two waiting."""
    scenes.credit(bob, alice, 100, now)
    version = scenes.a_model_version(bob, now)
    shed = scenes.a_node(olga, now, name="shed")
    attic = scenes.a_node(bob, now, name="attic")
    job = scenes.a_job(alice, now, version=version)
    leases = [scenes.a_lease(node, alice, reference=job.reference) for node in (shed, attic)]
    first, second = job.tasks.order_by("index")[:2]
    labels = [3, 1, 4, 1, 5]
    pair = [
        scenes.an_attempt(first, node, lease, now, state="SUBMITTED", labels=labels)
        for node, lease in zip((shed, attic), leases, strict=True)
    ]
    scenes.accept(first, pair, [], now)
    running = scenes.an_attempt(second, shed, leases[0], now, progress=300)
    return SimpleNamespace(
        job=job,
        shed=shed,
        attic=attic,
        version=version,
        leases=leases,
        accepted=pair,
        running=running,
        book=leases[0].book,
    )
