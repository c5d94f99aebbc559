"""(a) Orders durable and matched per second in one hot book, against bare committed INSERTs."""

import functools
import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any

from django.db import connection

from accounts.models import Membership
from benchmarks import anchors, world
from benchmarks.crews import crew
from benchmarks.grids import Grid
from benchmarks.plan import Plan, interleave
from benchmarks.report import Row
from benchmarks.world import PRICE_MICRO
from marketplace import services as market
from marketplace.core.fit import Needs
from marketplace.models import Book

BATCH = 64
OFFERED_LOTS = 100_000
SELLERS = 4
DRAIN_SECONDS = 120
_TABLES = (
    "DROP TABLE IF EXISTS bench_raw_order, bench_order",
    "CREATE TABLE bench_raw_order (id bigserial PRIMARY KEY, book bigint, side text, price bigint, lots int,"
    " owner text, state text DEFAULT 'NEW', placed_at timestamptz DEFAULT now())",
    "CREATE INDEX ON bench_raw_order (book, id) WHERE state = 'NEW'",
    "CREATE TABLE bench_order (LIKE marketplace_order INCLUDING ALL)",
    "ALTER TABLE bench_order ADD FOREIGN KEY (book_id) REFERENCES marketplace_book,"
    " ADD FOREIGN KEY (placed_by_id) REFERENCES accounts_membership, ADD FOREIGN KEY (node_id) REFERENCES nodes_node",
)
_RAW = "INSERT INTO bench_raw_order (book, side, price, lots, owner) VALUES (%s, %s, %s, %s, %s)"
_SAME = (
    "INSERT INTO bench_order (book_id, side, time_in_force, price_micro, lots, placed_by_id, owner_key, is_standing,"
    " needs, reference, hold_address, state, reason, open_lots, filled_lots)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, false, %s, '', '', 'ACCEPTED', '', 0, 0)"
)
_markets = itertools.count(1)
_WAITING = "SELECT EXISTS (SELECT FROM marketplace_order WHERE book_id = %s AND state = 'ACCEPTED')"


def measure(_grid: Grid, plan: Plan) -> list[Row]:
    """A window ends when the matcher has written what became of its last order."""
    anchors.execute(*_TABLES)
    first = _market(plan.clients)
    acts = {"raw": _raw, "same": functools.partial(_same, *first), "place": _place}
    with crew(plan.clients, acts) as clients:

        def window(**arguments: Any) -> float:
            members, book = _market(plan.clients)
            began = time.monotonic()
            placed = sum(clients.do("place", plan.seconds, members=members, book=book, **arguments))
            _wait_until_matched(book.pk)
            return placed / (time.monotonic() - began)

        found = interleave(
            {
                "raw": lambda: sum(clients.do("raw", plan.seconds)) / plan.seconds,
                "batches": lambda: window(size=BATCH),
                "same": lambda: sum(clients.do("same", plan.seconds)) / plan.seconds,
                "singly": lambda: window(size=1),
                "one member": lambda: window(size=BATCH, buyer=0),
            },
            plan.windows,
        )
    unit = "orders/s, matched"
    return [
        Row(
            f"(a) orders in batches of {BATCH}", unit, found["batches"], found["raw"], "bare committed INSERTs/s",
            ">= 0.30 of bare", lambda _, share: share >= 0.30,
        ),
        Row(
            "(a) orders singly", unit, found["singly"], found["same"], "same statement by hand/s",
            ">= 0.60 of it", lambda _, share: share >= 0.60,
        ),
        Row(
            f"(a) orders in batches of {BATCH}, one member's", unit, found["one member"], found["batches"],
            "many members'/s", ">= 0.80 of many", lambda _, share: share >= 0.80,
        ),
    ]  # fmt: skip


def _raw(number: int, until: float) -> int:
    made, opened = 0, anchors.connection(number)
    while time.monotonic() < until:
        opened.execute(_RAW, (1, "BUY", random.randrange(1, 1000), 1, f"user:{number}"))
        made += 1
    return made


def _same(members: list[Membership], book: Book, number: int, until: float) -> int:
    made, opened, wishes = 0, anchors.connection(number), _wishes(number)
    member = members[number]
    while time.monotonic() < until:
        kind, price = next(wishes)
        needs = json.dumps(_needs().to_dict())
        owner = f"user:{member.user_id}"
        opened.execute(_SAME, (book.pk, "BUY", kind, price, 1, member.pk, owner, needs))
        made += 1
    return made


def _market(buyers: int) -> tuple[list[Membership], Book]:
    """A new book with offers in it, and members who will buy: each window meets the same."""
    people = world.people(f"orders-{next(_markets)}")
    for _ in range(SELLERS):
        world.machine(people.member(), lots=OFFERED_LOTS)
    members = [people.member() for _ in range(buyers)]
    book = market.book_for(people.cooperative)
    _wait_until_matched(book.pk)
    return members, book


def _place(
    number: int, until: float, members: list[Membership], book: Book, size: int, buyer: int | None = None
) -> int:
    member, wishes, made = members[number if buyer is None else buyer], _wishes(number), 0
    while time.monotonic() < until:
        orders = [
            market.NewOrder(
                book=book,
                side="BUY",
                placed_by=member,
                owner_key=f"user:{member.user_id}",
                price_micro=price,
                lots=1,
                time_in_force=kind,
                needs=_needs(),
            )
            for kind, price in itertools.islice(wishes, size)
        ]
        market.place_orders(orders=orders)
        made += size
    return made


def _wishes(number: int) -> Iterator[tuple[str, int]]:
    """Of four BUY orders one trades at once, one rests below the offers and two find no price and leave."""
    luck = random.Random(number)
    while True:
        yield "GTC", PRICE_MICRO
        yield "IOC", luck.randrange(1, PRICE_MICRO)
        yield "GTC", luck.randrange(1, PRICE_MICRO)
        yield "IOC", luck.randrange(1, PRICE_MICRO)


def _needs() -> Needs:
    return Needs(runner="python", memory_mib=512)


def _wait_until_matched(book_id: int) -> None:
    """Raises: TimeoutError."""
    end = time.monotonic() + DRAIN_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING, [book_id])
            if not cursor.fetchone()[0]:
                return
        if time.monotonic() > end:
            raise TimeoutError(f"orders were not matched within {DRAIN_SECONDS} s")
        time.sleep(0.01)
