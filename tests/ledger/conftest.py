"""Credit to play with, the books closed as at commit, and threads that start together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from common import errors
from ledger import services as ledger
from ledger.services import Entry


@pytest.fixture
def give(db):
    """Issue credits to an address: give("coop:1:member:1", 500)."""

    def issue(address, amount_micro, asset="CREDIT"):
        entries = [Entry("coop:1:issuance", -amount_micro, asset), Entry(address, amount_micro, asset)]
        return ledger.transfer(key=f"issue {address} {amount_micro} {asset}", kind="ISSUE", entries=entries)

    return issue


@pytest.fixture
def close_books(db):
    """Fire the deferred triggers now, as the commit would; a rolled back test never gets there."""

    def fire():
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    return fire


@pytest.fixture
def tamper(db):
    """Run SQL as a superuser whom no trigger stops."""

    def run(sql, *arguments):
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            try:
                cursor.execute(sql, arguments)
                assert cursor.rowcount > 0
            finally:
                cursor.execute("SET session_replication_role = DEFAULT")

    return run


@pytest.fixture
def settled(transactional_db):
    """Wait until every transaction of the server that has begun has ended, so that the projector may fold all."""

    def wait():
        deadline = time.monotonic() + 60
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            (latest,) = cursor.fetchone()
            while True:
                cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8", [latest])
                if cursor.fetchone()[0]:
                    return
                assert time.monotonic() < deadline, "a transaction of another database is still open"
                time.sleep(0.01)

    return wait


@pytest.fixture
def together(transactional_db):
    """Run acts in threads of their own, released at the same moment; return results or AppErrors."""

    def run_all(*acts):
        barrier = threading.Barrier(len(acts), timeout=30)

        def run(act):
            try:
                barrier.wait()
                return act()
            except errors.AppError as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(len(acts)) as threads:
            return list(threads.map(run, acts))

    return run_all
