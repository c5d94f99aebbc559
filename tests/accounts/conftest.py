"""Browsers of their own address, credit to play with, and two acts that overlap."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts import services as accounts

LOCK_DEADLINE_SECONDS = 20


@pytest.fixture
def client():
    """A browser from an address that no other test uses, so that rate limits are its own."""
    return Client(REMOTE_ADDR=f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1")


@pytest.fixture
def signed_in(client):
    """The browser, logged in as a member."""

    def sign_in(membership):
        client.force_login(membership.user)
        return client

    return sign_in


@pytest.fixture
def invitation(bob, now):
    """An open invitation to become a member, and its token."""
    return accounts.invite(by=bob, roles=["MEMBER"], now=now)


@pytest.fixture
def overlapping():
    """Run `first` in a transaction that stays open until `second`, in a thread, waits for a lock of it.

    Returns what each returned, or the exception it raised. With `is_lost` the first transaction is rolled back.
    """

    def run(first, second, *, is_lost=False):
        with ThreadPoolExecutor(max_workers=1) as threads:
            with transaction.atomic():
                result = first()
                future = threads.submit(_in_thread, second)
                _wait_until_somebody_waits_for_a_lock()
                transaction.set_rollback(is_lost)
            return result, future.exception(LOCK_DEADLINE_SECONDS) or future.result()

    return run


def _in_thread(act):
    try:
        return act()
    finally:
        connection.close()


def _wait_until_somebody_waits_for_a_lock():
    deadline = time.monotonic() + LOCK_DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE NOT granted AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("the second act never waited for the first")
