"""docs/permissions.md is whole, and it is true: every row is called by everybody, and the answers are compared."""

import re

import pytest
from django.db import transaction

from accounts.core import roles
from tests.permissions import table
from tests.permissions.world import Caller, World

pytestmark = pytest.mark.django_db
TABLE = table.rows()
LOGIN = "/account/login/"
ADDRESSES = table.addresses()


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker, tmp_path_factory):
    """One world for the module; every call happens in a savepoint that is rolled back."""
    from django.test import override_settings

    with (
        django_db_blocker.unblock(),
        override_settings(BLOB_DIR=tmp_path_factory.mktemp("blobs")),
        transaction.atomic(),
    ):
        yield World()
        transaction.set_rollback(True)


def test_every_address_has_a_row():
    without = [
        address for address in ADDRESSES if not any(table.row_of(address, method, TABLE) for method in table.METHODS)
    ]

    assert not without, f"add a row to docs/permissions.md for {without}"


def test_every_socket_has_a_row():
    assert sorted(table.sockets()) == sorted(row.address for row in TABLE if row.methods == ("WS",))


def test_no_row_is_about_an_address_that_is_gone():
    gone = [
        row.address
        for row in TABLE
        if row.methods != ("WS",)
        and not any(row.address in (address, f"{address}**") for address in ADDRESSES)
        and not (row.address.endswith("**") and any(address.startswith(row.address[:-2]) for address in ADDRESSES))
    ]

    assert not gone


def test_no_two_rows_say_something_about_the_same():
    said = [(method, row.address) for row in TABLE for method in row.methods]

    assert sorted(said) == sorted(set(said))


def expected(row: table.Row, caller: Caller) -> str:
    """What the page says that this caller gets: `served`, `login` or a status."""
    if row.who == "anyone" and not caller.is_person:
        return row.signed_out
    if row.is_for_nodes:
        if caller.agent is None:
            return row.signed_out
        return row.elsewhere if caller.is_outsider and "as owner" in row.who else "served"
    if not caller.is_person and not (caller.scope and row.is_api):
        return row.signed_out
    if row.who == "anyone":
        return row.not_allowed if caller.membership is None else "served"
    if row.who.startswith("person"):
        needed = row.who.rpartition("tokens with ")[2] if caller.scope and "tokens with" in row.who else ""
        return "served" if not needed or may(caller, needed) else row.not_allowed
    if caller.membership is None:
        return row.elsewhere if "<cooperative_id>" in row.address else row.not_allowed
    ways = [(permission, owned) for permission, owned in row.ways if may(caller, permission)]
    if not ways:
        return row.not_allowed
    if caller.is_outsider:
        return "served" if row.elsewhere == "own" else row.elsewhere
    return (
        "served" if caller.is_owner or not all(owned for _, owned in ways) else row.of_another(caller.membership.roles)
    )


def may(caller: Caller, permission: str) -> bool:
    if caller.scope:
        return roles.token_may(caller.membership.roles, [caller.scope], permission)
    return roles.may(caller.membership.roles, permission)


def got(answer, row: table.Row) -> str:
    """The answer in the words of the page. Whoever is let in may still be refused for what they sent."""
    if answer.status_code in (301, 302) and answer.headers["Location"].startswith(LOGIN) and row.signed_out == "login":
        return "login"
    if answer.headers.get("HX-Redirect", "").startswith(LOGIN):
        return "login"
    refusals = {401, 403, 405, *(int(word) for word in re.findall(r"\d{3}", f"{row.not_allowed} {row.not_theirs}"))}
    return str(answer.status_code) if answer.status_code in refusals or answer.status_code >= 500 else "served"


def filled(world: World, address: str) -> str:
    samples = world.samples()
    return re.sub(r"<(\w+)>", lambda name: str(samples.get((address, name[1]), samples.get(name[1]))), address)


def call(world: World, caller: Caller, method: str, address: str):
    with transaction.atomic():
        answer = caller.call(method, filled(world, address), world.query(address), world.body(method, address))
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize("address", sorted(set(ADDRESSES)))
def test_everybody_gets_what_the_page_says(world, address):
    wrong = []
    for method in table.METHODS:
        row = table.row_of(address, method, TABLE)
        if row is None:
            continue
        for caller in world.callers(everybody=row.is_api):
            wanted, found = expected(row, caller), got(call(world, caller, method, address), row)
            if wanted != found:
                wrong.append(f"{method} as {caller.name}: the page says {wanted}, got {found}")

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("address", sorted(address for address in ADDRESSES if not address.startswith("/account/")))
def test_methods_without_a_row_are_not_answered(world, address):
    """By nobody, not even the founder or their node. (allauth's views below /account/ take any method.)"""
    for method in table.METHODS:
        if table.row_of(address, method, TABLE):
            continue
        for caller in world.callers():
            if caller.name not in ("founder", "node"):
                continue
            status = call(world, caller, method, address).status_code
            assert status in (401, 403, 405) or (status == 302 and caller.agent), (method, caller.name, status)
