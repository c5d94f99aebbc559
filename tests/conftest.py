"""Real PostgreSQL and Redis for the whole run, and the people every test knows."""

import datetime

import pytest
from django.db import connection
from django.test import TransactionTestCase


@pytest.fixture
def now() -> datetime.datetime:
    return datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.UTC)


def _flush_append_only_tables(original):
    """Append-only triggers refuse TRUNCATE; the flush between tests runs as a replica, which fires none."""

    def teardown(self):
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        try:
            original(self)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = DEFAULT")

    return teardown


TransactionTestCase._fixture_teardown = _flush_append_only_tables(TransactionTestCase._fixture_teardown)


@pytest.fixture
def cooperative(db, now):
    from accounts import services as accounts
    from accounts.models import User

    founder = User.objects.create_user("bob@example.org", "correct horse battery", display_name="Bob")
    return accounts.found_cooperative(name="Riverside", slug="riverside", founder=founder, now=now)


@pytest.fixture
def bob(cooperative):
    """Founder: member, operator and steward, whoever else has joined before this fixture is asked for."""
    return cooperative.memberships.get(user__email="bob@example.org")


def _join(cooperative, name, roles):
    from accounts.models import Membership, User

    user = User.objects.create_user(f"{name.lower()}@example.org", "correct horse battery", display_name=name)
    return Membership.objects.create(cooperative=cooperative, user=user, roles=roles)


@pytest.fixture
def alice(cooperative):
    """A member."""
    return _join(cooperative, "Alice", ["MEMBER"])


@pytest.fixture
def olga(cooperative):
    """A member who operates nodes."""
    return _join(cooperative, "Olga", ["MEMBER", "OPERATOR"])


@pytest.fixture
def pete(cooperative):
    """A second operator."""
    return _join(cooperative, "Pete", ["MEMBER", "OPERATOR"])


@pytest.fixture
def quin(cooperative):
    """A third operator."""
    return _join(cooperative, "Quin", ["MEMBER", "OPERATOR"])


@pytest.fixture
def rita(cooperative):
    """A fourth operator."""
    return _join(cooperative, "Rita", ["MEMBER", "OPERATOR"])


@pytest.fixture
def sam(cooperative):
    """A second steward."""
    return _join(cooperative, "Sam", ["MEMBER", "STEWARD"])


@pytest.fixture
def charlie(db, now):
    """A steward of another cooperative: an outsider here."""
    from accounts import services as accounts
    from accounts.models import User

    founder = User.objects.create_user("charlie@example.org", "correct horse battery", display_name="Charlie")
    return accounts.found_cooperative(name="Hillside", slug="hillside", founder=founder, now=now).memberships.get()


@pytest.fixture
def program():
    """A program of a member's: a client that bears a token with these scopes."""

    from django.test import Client

    from accounts import services as accounts
    from accounts.core import roles
    from common.clock import database_now

    def issue(membership, *scopes):
        _, secret = accounts.issue_api_token(
            membership=membership, name="program", scopes=scopes or roles.SCOPES, now=database_now()
        )
        return Client(headers={"Authorization": f"Bearer {secret}"})

    return issue
