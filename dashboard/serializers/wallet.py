"""Wallets, statements and transfers as messages. Amounts are micro-credits."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from common.paging import PageQuery
from dashboard.queries import money
from ledger.queries import AccountBalance
from opengrid.messages import Message, Natural, Positive, timestamp


class HeldView(Message):
    """Credits that lie aside, and for which job if it is one."""

    address: str
    amount_micro: Natural
    job_id: Positive | None


class WalletReply(Message):
    """What the acting membership has. `available_micro` can be spent now."""

    address: str
    available_micro: int
    held_micro: Natural
    earned_today_micro: int
    held: list[HeldView]


class StatementLineView(Message):
    """One posting on the wallet and what lay there after it; `key` names its transfer."""

    id: Positive
    key: str
    kind: str
    reason: str
    made_at: str
    amount_micro: int
    balance_micro: int
    job_id: Positive | None


class StatementQuery(PageQuery):
    """Which part of a statement."""

    month: Annotated[str, StringConstraints(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$")] | None = Field(
        None, description="Only lines of this month (UTC), such as 2026-11; the balances stay what they were."
    )
    kind: Literal["issue", "send", "hold", "release", "settlement", "reversal"] | None = Field(
        None, description="Only transfers of this kind."
    )


class StatementReply(Message):
    """The statement, newest first."""

    lines: list[StatementLineView]
    next: str | None


class TransferQuery(Message):
    """Which transfer."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="As in the statement.")


class PostingView(Message):
    """One side of a transfer: what was added to an address, and what kind of place that is."""

    address: str
    place: str
    is_own_wallet: bool
    amount_micro: int


class TransferReply(Message):
    """All postings of a transfer; their amounts sum to zero."""

    key: str
    postings: list[PostingView]


class SendRequest(Message):
    """Credits for another member of the cooperative."""

    to_member_id: Positive
    amount_micro: Positive
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class SendReply(Message):
    """The transfer that was made, and what is left."""

    key: str
    available_micro: int


class TrialBalanceLine(Message):
    """An account that is not empty."""

    address: str
    asset: str
    balance_micro: int


class TrialBalanceReply(Message):
    """The cooperative's own accounts and its members' wallets; what is set aside lies in holds beside them."""

    accounts: list[TrialBalanceLine]
    next: str | None


def wallet_reply(address: str, purse: money.Purse, held: Sequence[money.Held]) -> WalletReply:
    """A wallet and what lies aside for it."""
    return WalletReply(
        address=address,
        available_micro=purse.available_micro,
        held_micro=purse.held_micro,
        earned_today_micro=purse.earned_today_micro,
        held=[
            HeldView(address=row.address, amount_micro=row.amount_micro, job_id=row.job.pk if row.job else None)
            for row in held
        ],
    )


def statement_line(line: money.Line) -> StatementLineView:
    """One line of a statement."""
    entry = line.entry
    return StatementLineView(
        id=entry.id,
        key=entry.key,
        kind=entry.kind,
        reason=entry.reason,
        made_at=timestamp(entry.made_at),
        amount_micro=entry.amount_micro,
        balance_micro=entry.balance_micro,
        job_id=line.job_id,
    )


def posting_view(side: money.Side) -> PostingView:
    """One side of a transfer."""
    return PostingView(
        address=side.address, place=side.place.kind, is_own_wallet=side.is_mine, amount_micro=side.amount_micro
    )


def trial_balance(rows: Sequence[tuple[int, AccountBalance]], limit: int) -> TrialBalanceReply:
    """A page of accounts, from one row more than it may have."""
    return TrialBalanceReply(
        accounts=[
            TrialBalanceLine(address=line.address, asset=line.asset, balance_micro=line.balance_micro)
            for _, line in rows[:limit]
        ],
        next=str(rows[limit - 1][0]) if len(rows) > limit else None,
    )
