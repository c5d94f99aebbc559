"""Balances by address: the projector's sum plus the postings since, exact in one statement at any time."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from common.money import CREDIT
from ledger.core import addresses


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What lies at one address."""

    address: str
    asset: str
    balance_micro: int


def balance(address: str, asset: str = CREDIT) -> int:
    """What lies at `address`; 0 where nothing was ever posted. Raises: addresses.BadAddress."""
    return balances([address], asset)[address]


def balances(wanted: Iterable[str], asset: str = CREDIT) -> dict[str, int]:
    """What lies at each of the addresses, all at the same instant. Raises: addresses.BadAddress."""
    answer = {addresses.check(address): 0 for address in wanted}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT address, balance_micro FROM ledger_balance WHERE address = ANY(%s) AND asset = %s",
            [list(answer), asset],
        )
        answer.update(cursor.fetchall())
    return answer


def trial_balance() -> list[AccountBalance]:
    """Every account that is not empty, by address and asset; the balances of an asset sum to zero."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT address, asset, balance_micro FROM ledger_balance WHERE balance_micro <> 0"
            ' ORDER BY address COLLATE "C", asset COLLATE "C"'
        )
        return [AccountBalance(*row) for row in cursor.fetchall()]


def accounts_of(cooperative_id: int, *, after_id: int = 0, limit: int) -> list[tuple[int, AccountBalance]]:
    """The cooperative's accounts and its members' wallets that are not empty, in order of opening, with their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, address, asset, balance_micro FROM ledger_balance"
            " WHERE address LIKE %s AND account_id > %s AND balance_micro <> 0 ORDER BY account_id LIMIT %s",
            [f"coop:{int(cooperative_id)}:%", after_id, limit],
        )
        return [(account_id, AccountBalance(*rest)) for account_id, *rest in cursor.fetchall()]
