"""Stewards with a second factor, and a cooperative at work."""

from types import SimpleNamespace

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from tests.dashboard.conftest import client_of, grid, now, store

__all__ = ["client_of", "grid", "now", "store"]


@pytest.fixture
def with_factor():
    """Gives a person a TOTP authenticator."""

    def give(membership):
        if not Authenticator.objects.filter(user=membership.user).exists():
            TOTP.activate(membership.user, generate_totp_secret())
        return membership

    return give


@pytest.fixture
def console_of(client_of, with_factor):
    """A client of a steward whose session was signed in to with the second factor."""

    def make(membership):
        with_factor(membership)
        client = client_of(membership)
        session = client.session
        record_authentication(SimpleNamespace(session=session), membership.user, method="mfa", type="totp")
        session.save()
        return client

    return make


@pytest.fixture
def console(console_of, sam):
    """Sam, the second steward, in the console."""
    return console_of(sam)
