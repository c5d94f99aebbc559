"""Writing transfers: checked, idempotent, set-based. All other services of the ledger end here."""

from collections.abc import Iterable, Sequence

from django.db import connection, transaction

from common import errors, locks
from common.money import CREDIT, format_credits
from common.words import said as _
from ledger import queries
from ledger.core import addresses, postings
from ledger.core.postings import Entry, NewTransfer
from ledger.models import LedgerAccount, Transfer


class KeyReused(errors.Conflict):
    """The idempotency key already belongs to a transfer that says something else."""

    code = "key_reused"
    title = _("This key was already used for something else")


class InsufficientFunds(errors.AppError):
    """More would leave an account than lies there."""

    code = "insufficient_funds"
    status = 402
    title = _("There are not enough credits")

    def __init__(self, address: str, asset: str, *, available_micro: int, needed_micro: int) -> None:
        unit = _("credits") if asset == CREDIT else asset
        super().__init__(
            _(
                "found %(available)s %(unit)s available on %(address)s; %(needed)s are needed",
                available=format_credits(available_micro),
                unit=unit,
                address=address,
                needed=format_credits(needed_micro),
            ),
            extra={
                "address": address,
                "asset": asset,
                "available_micro": available_micro,
                "needed_micro": needed_micro,
            },
        )
        self.available_micro = available_micro
        self.needed_micro = needed_micro


class UnknownTransfer(errors.NotFound):
    """No transfer was made under this key."""

    code = "unknown_transfer"
    title = _("There is no such transfer")


class AlreadyReversed(errors.Conflict):
    """A transfer can be undone once."""

    code = "already_reversed"
    title = _("This transfer has already been reversed")


@transaction.atomic
def transfer(*, key: str, kind: str, entries: Iterable[Entry], reason: str = "") -> int:
    """Make one transfer and return its id; the same again under the same key returns the same id.

    Raises: postings.BadTransfer, postings.Unbalanced, addresses.BadAddress, KeyReused, InsufficientFunds.
    """
    return post([NewTransfer(key, kind, tuple(entries), reason)])[0]


@transaction.atomic
def transfer_many(*, transfers: Sequence[NewTransfer]) -> list[int]:
    """Make all transfers or none, with a fixed number of statements, and return their ids in order.

    Credits that one of them brings may be spent by another: what counts is the state after all.
    One act that needs several transfers makes them here, so that its locks are taken in one order.
    Raises: as `transfer`.
    """
    return post(transfers)


@transaction.atomic
def reverse(*, key_of_original: str, key: str, reason: str) -> int:
    """Undo a transfer by its exact mirror and return the id of the reversal.

    Raises: UnknownTransfer, AlreadyReversed, KeyReused, InsufficientFunds, postings.BadTransfer.
    """
    original = Transfer.objects.filter(idempotency_key=key_of_original).first()
    if original is None:
        raise UnknownTransfer(
            _("found no transfer with key %(key_of_original)s", key_of_original=repr(key_of_original[:200]))
        )
    entries = postings.mirrored(queries.postings_of(key_of_original))
    return post([NewTransfer(key, "REVERSAL", entries, reason)], reverses=original)[0]


def post(transfers: Sequence[NewTransfer], *, reverses: Transfer | None = None) -> list[int]:
    """Write transfers in the caller's transaction; for the services of the ledger alone.

    1. Check each on its own.  2. Lock what gives, in the order of common.locks.  3. Leave out what was
    written before under the same key.  4. Check the funds.  5. Open accounts, write transfers, postings.
    """
    original_key = reverses.idempotency_key if reverses else None
    fingerprints: dict[str, str] = {}
    wanted: dict[str, NewTransfer] = {}
    for new in transfers:
        fingerprint = postings.fingerprint(postings.check(new), reverses=original_key)
        if fingerprints.setdefault(new.key, fingerprint) != fingerprint:
            raise KeyReused(_("found two different transfers with the key %(key)s", key=repr(new.key)))
        wanted[new.key] = new
    lock_debited(postings.debited(transfers))
    ids = _already_made(fingerprints)
    missing = {key: new for key, new in wanted.items() if key not in ids}
    if missing:
        _check_funds(list(missing.values()))
        ids |= _write(missing, fingerprints, reverses)
    return [ids[new.key] for new in transfers]


def lock_debited(debited: Iterable[str]) -> None:
    """Wait for whoever else takes from these addresses, until this transaction ends."""
    holds = {address for address in debited if addresses.is_hold(address)}
    locks.lock(locks.Space.HOLD, holds)
    locks.lock(locks.Space.LEDGER_ACCOUNT, set(debited) - holds)


def _already_made(fingerprints: dict[str, str]) -> dict[str, int]:
    """Ids by key of the transfers that exist. Raises: KeyReused."""
    ids = {}
    rows = Transfer.objects.filter(idempotency_key__in=fingerprints).values_list("idempotency_key", "fingerprint", "id")
    for key, fingerprint, transfer_id in rows.order_by("id"):
        if fingerprint != fingerprints[key]:
            raise KeyReused(_("found another transfer with the key %(key)s; a new act needs a new key", key=repr(key)))
        ids[key] = transfer_id
    return ids


def _check_funds(transfers: Sequence[NewTransfer]) -> None:
    """Raises: InsufficientFunds for the first address that would end below zero."""
    watched = postings.debited(transfers)
    taken = {place: -net for place, net in postings.net(transfers).items() if place[0] in watched and net < 0}
    for asset in sorted({asset for _address, asset in taken}):
        needed = {address: micro for (address, of), micro in sorted(taken.items()) if of == asset}
        available = queries.balances(needed, asset)
        for address, needed_micro in needed.items():
            if available[address] < needed_micro:
                raise InsufficientFunds(address, asset, available_micro=available[address], needed_micro=needed_micro)


def _write(missing: dict[str, NewTransfer], fingerprints: dict[str, str], reverses: Transfer | None) -> dict[str, int]:
    """Insert what is missing; return ids by key. Raises: KeyReused, AlreadyReversed."""
    accounts = _open_accounts({(entry.address, entry.asset) for new in missing.values() for entry in new.entries})
    made = _insert_transfers(missing, fingerprints, reverses)
    rows = [
        (made[new.key], accounts[entry.address, entry.asset], entry.amount_micro)
        for new in missing.values()
        if new.key in made
        for entry in new.entries
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_posting (transfer_id, account_id, amount_micro)"
            " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])",
            [list(column) for column in zip(*rows, strict=True)] or [[], [], []],
        )
    return made | _made_by_others(missing, made, fingerprints)


def _insert_transfers(
    missing: dict[str, NewTransfer], fingerprints: dict[str, str], reverses: Transfer | None
) -> dict[str, int]:
    """Ids by key of the rows that this transaction inserted.

    A key that another transaction is writing makes this one wait; if that one commits, the key is left
    out here. Keys are inserted in sorted order, so that two batches cannot wait for each other.
    """
    keys = sorted(missing)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_transfer (idempotency_key, kind, reason, fingerprint, reverses_id)"
            " SELECT key, kind, reason, fingerprint, %s"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY"
            " AS new (key, kind, reason, fingerprint, place) ORDER BY place"
            " ON CONFLICT DO NOTHING RETURNING idempotency_key, id",
            [
                reverses.pk if reverses else None,
                keys,
                [missing[key].kind for key in keys],
                [missing[key].reason for key in keys],
                [fingerprints[key] for key in keys],
            ],
        )
        return dict(cursor.fetchall())


def _made_by_others(
    missing: dict[str, NewTransfer], made: dict[str, int], fingerprints: dict[str, str]
) -> dict[str, int]:
    """Ids of what another transaction committed meanwhile. Raises: KeyReused, AlreadyReversed."""
    others = {key: fingerprints[key] for key in missing if key not in made}
    if not others:
        return {}
    ids = _already_made(others)
    if len(ids) < len(others):  # the key is free, so it was the mark of the original that was taken
        raise AlreadyReversed()
    return ids


def _open_accounts(places: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Ids of the accounts at these (address, asset), opening those that do not exist."""
    ids = _account_ids(places)
    missing = sorted(places - ids.keys())
    if missing:
        LedgerAccount.objects.bulk_create(
            [
                LedgerAccount(address=address, asset=asset, may_be_negative=addresses.may_be_negative(address))
                for address, asset in missing
            ],
            ignore_conflicts=True,
        )
        ids |= _account_ids(set(missing))
    return ids


def _account_ids(places: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT address, asset, id FROM ledger_ledgeraccount"
            " WHERE (address, asset) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [[address for address, _ in places], [asset for _, asset in places]],
        )
        return {(address, asset): account_id for address, asset, account_id in cursor.fetchall()}
