"""(e) Ledger transfers: checked, idempotent, balanced by trigger, against two bare rows in a transaction."""

import functools
import itertools
import os
import time

from benchmarks import anchors, world
from benchmarks.crews import crew
from benchmarks.grids import Grid
from benchmarks.plan import Plan, interleave
from benchmarks.report import Row
from ledger import services as ledger

BATCH = 64
_RAW = (
    "DROP TABLE IF EXISTS bench_posting",
    "CREATE TABLE bench_posting (id bigserial PRIMARY KEY, account bigint, amount_micro bigint)",
    "CREATE INDEX ON bench_posting (account)",
)
_TWO_ROWS = "INSERT INTO bench_posting (account, amount_micro) VALUES (%s, %s), (%s, %s)"
_keys = itertools.count()


def measure(_grid: Grid, plan: Plan) -> list[Row]:
    """Each client pays from a wallet of its own to the next one; then all from one wallet."""
    anchors.execute(*_RAW)
    people = world.people("transfers")
    members = [people.member() for _ in range(plan.clients)]
    for member in members:
        people.credit(member)
    wallets = [member.wallet for member in members]
    acts = {"raw": _raw, "singly": functools.partial(_singly, wallets), "batches": functools.partial(_batches, wallets)}
    with crew(plan.clients, acts) as clients:
        found = interleave(
            {
                "raw": lambda: sum(clients.do("raw", plan.seconds)) / plan.seconds,
                "singly": lambda: sum(clients.do("singly", plan.seconds)) / plan.seconds,
                "one payer": lambda: sum(clients.do("singly", plan.seconds, payer=0)) / plan.seconds,
                "batches": lambda: sum(clients.do("batches", plan.seconds)) / plan.seconds,
            },
            plan.windows,
        )
    name = "bare two-row inserts/s"
    return [
        Row("(e) ledger transfers, one each", "transfers/s", found["singly"], found["raw"], name),
        Row(
            "(e) ledger transfers, all from one wallet", "transfers/s", found["one payer"], found["singly"], "one each"
        ),
        Row(f"(e) ledger transfers, {BATCH} at a time", "transfers/s", found["batches"], found["raw"], name),
    ]


def _raw(number: int, until: float) -> int:
    made, connection = 0, anchors.connection(number)
    while time.monotonic() < until:
        connection.execute(_TWO_ROWS, (number, -1, number + 1, 1))
        made += 1
    return made


def _singly(wallets: list[str], number: int, until: float, payer: int | None = None) -> int:
    made, entries = 0, _entries(wallets, number if payer is None else payer)
    while time.monotonic() < until:
        ledger.transfer(key=_key(), kind="bench", entries=entries)
        made += 1
    return made


def _batches(wallets: list[str], number: int, until: float) -> int:
    made, entries = 0, tuple(_entries(wallets, number))
    while time.monotonic() < until:
        ledger.transfer_many(transfers=[ledger.NewTransfer(_key(), "bench", entries) for _ in range(BATCH)])
        made += BATCH
    return made


def _entries(wallets: list[str], payer: int) -> list[ledger.Entry]:
    return [ledger.Entry(wallets[payer], -1), ledger.Entry(wallets[(payer + 1) % len(wallets)], 1)]


def _key() -> str:
    return f"bench:{os.getpid()}:{next(_keys)}"
