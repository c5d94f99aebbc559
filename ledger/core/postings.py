"""What a transfer is before it is written: entries that sum to zero for each asset."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common import errors
from common.money import CREDIT
from common.words import said as _
from ledger.core import addresses
from opengrid import canonical, digests

ASSET: Final = r"^[A-Z][A-Z0-9]{0,19}$"
MAX_MICRO: Final = 2**63 - 1
MAX_KEY: Final = 200
MAX_KIND: Final = 40
MAX_REASON: Final = 500


class BadTransfer(errors.Invalid):
    """Something about a transfer is malformed."""

    code = "bad_transfer"
    title = _("This cannot be a transfer")


class Unbalanced(BadTransfer):
    """The entries of a transfer do not sum to zero for every asset."""

    code = "unbalanced"
    title = _("What leaves some accounts must arrive in others")


@dataclass(frozen=True, slots=True)
class Entry:
    """`amount_micro` is added to what lies at `address`; a negative amount takes away."""

    address: str
    amount_micro: int
    asset: str = CREDIT


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """One movement of credits that shall happen once under its idempotency key."""

    key: str
    kind: str
    entries: tuple[Entry, ...]
    reason: str = ""


def check(transfer: NewTransfer) -> NewTransfer:
    """Return `transfer` if it may be written. Raises: BadTransfer, Unbalanced, addresses.BadAddress."""
    _check_text("key", transfer.key, 1, MAX_KEY)
    _check_text("kind", transfer.kind, 1, MAX_KIND)
    _check_text("reason", transfer.reason, 0, MAX_REASON)
    if len(transfer.entries) < 2:
        raise BadTransfer(f"found {len(transfer.entries)} entries; a transfer has at least two")
    for entry in transfer.entries:
        _check_entry(entry)
    for asset, total_micro in sorted(totals(transfer.entries).items()):
        if total_micro != 0:
            raise Unbalanced(f"found a sum of {total_micro} micro {asset}; only 0 is accepted")
    return transfer


def totals(entries: Sequence[Entry]) -> dict[str, int]:
    """The sum of the entries of each asset, in micro."""
    sums: Counter[str] = Counter()
    for entry in entries:
        sums[entry.asset] += entry.amount_micro
    return dict(sums)


def net(transfers: Sequence[NewTransfer]) -> dict[tuple[str, str], int]:
    """What several transfers together add to each (address, asset), in micro."""
    sums: Counter[tuple[str, str]] = Counter()
    for transfer in transfers:
        for entry in transfer.entries:
            sums[entry.address, entry.asset] += entry.amount_micro
    return dict(sums)


def debited(transfers: Sequence[NewTransfer]) -> frozenset[str]:
    """Addresses that give something and may not be negative: those whose balance must be watched."""
    return frozenset(
        entry.address
        for transfer in transfers
        for entry in transfer.entries
        if entry.amount_micro < 0 and not addresses.may_be_negative(entry.address)
    )


def mirrored(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries that undo `entries`, in the same order."""
    return tuple(Entry(entry.address, -entry.amount_micro, entry.asset) for entry in entries)


def fingerprint(transfer: NewTransfer, *, reverses: str | None = None) -> str:
    """Digest of everything a transfer says; the order of its entries does not matter.

    `reverses` is the key of the transfer that this one undoes. `check_ledger` computes the same digest
    in SQL from the stored rows. Raises: BadTransfer for text that has no canonical form.
    """
    document = {
        "entries": sorted([entry.address, entry.asset, entry.amount_micro] for entry in transfer.entries),
        "key": transfer.key,
        "kind": transfer.kind,
        "reason": transfer.reason,
        "reverses": reverses,
    }
    try:
        return digests.of_document(document)
    except canonical.NotCanonical as error:
        raise BadTransfer(str(error)) from error


def _check_text(name: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or "\0" in text:
        raise BadTransfer(f"found a {name} of {len(text)} characters; {least} to {most} without NUL are accepted")


def _check_entry(entry: Entry) -> None:
    addresses.check(entry.address)
    if re.fullmatch(ASSET, entry.asset) is None:
        raise BadTransfer(f"found asset {entry.asset[:40]!r}; accepted is a code such as {CREDIT}")
    if type(entry.amount_micro) is not int or not 0 < abs(entry.amount_micro) <= MAX_MICRO:
        raise BadTransfer(
            f"found {entry.amount_micro!r} on {entry.address}; whole micro-units other than 0, of at most 63 bits, "
            "are accepted"
        )
