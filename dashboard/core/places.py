"""Ledger addresses and transfer keys taken apart, so that pages can name and link what they stand for."""

import re
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"coop:(?P<cooperative>\d+):(?P<fund>[a-z]+)(?::(?P<member>\d+))?"
    r"|hold:(?P<held>[a-z]+):(?P<number>\d+)"
)
_KEY = re.compile(r"(?P<kind>job|task|order|lease|issue|send):(?P<number>\d+)(?::.*)?")


@dataclass(frozen=True)
class Place:
    """What an address names: a fund or a member's wallet of a cooperative, or a hold for a numbered thing."""

    kind: str
    number: int


def place(address: str) -> Place:
    """The place behind an address: kind is issuance, treasury, reserve, assurance, member, or job, order, lease, task.

    Raises: ValueError for a text that is no address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is not a ledger address")
    if match["held"]:
        return Place(match["held"], int(match["number"]))
    if match["member"]:
        return Place("member", int(match["member"]))
    return Place(match["fund"], int(match["cooperative"]))


def subject(key: str) -> Place | None:
    """What a transfer's key begins with: a job, task, order, lease, credit issue, or who sends. None for others."""
    match = _KEY.fullmatch(key)
    return Place(match["kind"], int(match["number"])) if match else None
