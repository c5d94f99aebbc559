"""Operators with machines, a member with credits, and a blob store of the test's own."""

import pytest

from ledger import queries as ledger
from ledger import services as ledger_services
from tests.scheduler import world


@pytest.fixture(autouse=True)
def store(settings, tmp_path):
    """The directory of the blob store; empty at first."""
    settings.BLOB_DIR = tmp_path / "blobs"
    return settings.BLOB_DIR


@pytest.fixture
def alice(alice, bob):
    """A member with 1000 credits."""
    world.credit(bob, alice)
    return alice


@pytest.fixture
def shed(olga):
    """Olga's trusted machine of four lots."""
    return world.Machine(olga)


@pytest.fixture
def barn(pete):
    """Pete's trusted machine of four lots."""
    return world.Machine(pete)


@pytest.fixture
def loft(quin):
    """Quin's trusted machine of four lots."""
    return world.Machine(quin)


@pytest.fixture
def balances():
    """What lies where, in micro-credits."""

    def read(*addresses):
        found = ledger.balances(addresses)
        return [found[address] for address in addresses]

    return read


@pytest.fixture
def books_balance(db):
    """No difference in the ledger when the test ends."""
    yield
    assert ledger_services.check_ledger() == []


@pytest.fixture
def stored_files(store):
    """All files in the store, drafts included, by path below it."""

    def files():
        return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())

    return files
