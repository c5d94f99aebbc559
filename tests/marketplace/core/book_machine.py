"""Random days at a book, for any implementation: every event is audited, every day is replayed."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from marketplace.core.book import Book
from marketplace.core.events import Cancel, Capacity, Return
from marketplace.core.fit import Needs
from marketplace.core.orders import BuyOrder, SellOrder, TimeInForce
from tests.marketplace.core import samples
from tests.marketplace.core.desk import Desk

NODES = {"n1": "olga", "n2": "olga", "n3": "pete", "n4": "quin"}
BUYERS = st.sampled_from(["alice", "alice", "bob", "olga", "pete"])
LOTS = st.integers(1, 5)
BUY_PRICES = st.integers(1, 4)
SELL_PRICES = st.integers(0, 3)
TIMES_IN_FORCE = st.sampled_from([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK])
PICK = st.integers(0, 1000)
NEEDS = st.builds(
    Needs,
    runner=st.just("onnx"),
    memory_mib=st.sampled_from([0, 0, 0, 4096]),
    zones=st.sampled_from([None] * 4 + [frozenset({"de-north"}), frozenset({"fr-east"})]),
    node_ids=st.sampled_from([None] * 4 + [frozenset({"n1", "n3"})]),
    excluded_owners=st.sampled_from([frozenset()] * 4 + [frozenset({"pete"})]),
)


class BookMachine(RuleBasedStateMachine):
    """Members place and cancel, nodes come, go and change, leases end, the desk restarts."""

    book_class: type[Book]

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(self.book_class())
        self.order_ids: list[str] = []

    @initialize(
        days_start=st.lists(st.tuples(st.integers(2, 8), LOTS, SELL_PRICES, st.booleans()), min_size=3, max_size=3)
    )
    def three_nodes_report_and_offer(self, days_start: list[tuple[int, int, int, bool]]) -> None:
        for node_id, (room, lots, price, standing) in zip(NODES, days_start, strict=False):
            self.desk.give(samples.capacity(node_id, NODES[node_id], room))
            self.place_sell(node_id, lots, price, standing, TimeInForce.GTC)

    @rule(
        owner=BUYERS,
        lots=LOTS,
        price=BUY_PRICES,
        needs=NEEDS,
        tif=TIMES_IN_FORCE,
        spread=st.sampled_from([None, None, 1, 2, 3]),
    )
    def place_buy(self, owner: str, lots: int, price: int, needs: Needs, tif: TimeInForce, spread: int | None) -> None:
        self.desk.place(BuyOrder(self._new_id(), owner, lots, price, needs, tif, spread))

    @rule(
        node_id=st.sampled_from(sorted(NODES)),
        lots=LOTS,
        price=SELL_PRICES,
        standing=st.booleans(),
        tif=TIMES_IN_FORCE,
    )
    def place_sell(self, node_id: str, lots: int, price: int, standing: bool, tif: TimeInForce) -> None:
        owner = NODES[node_id]
        self.desk.place(SellOrder(self._new_id(), owner, node_id, lots, price, standing, tif))

    @precondition(lambda self: self.order_ids)
    @rule(pick=PICK, again=st.booleans())
    def cancel(self, pick: int, again: bool) -> None:
        order_id = self.order_ids[pick % len(self.order_ids)]
        self.desk.give(Cancel(order_id))
        if again:
            self.desk.place(samples.buy(order_id, 1, 4))

    @precondition(lambda self: self.desk.auditor.leases)
    @rule(pick=PICK)
    def return_lease(self, pick: int) -> None:
        refs = list(self.desk.auditor.leases)
        ref = refs[pick % len(refs)]
        self.desk.give(Return(ref, "buyer_returned"))
        if pick % 5 == 0:
            self.desk.give(Return(ref, "buyer_returned"))

    @rule(
        node_id=st.sampled_from(sorted(NODES)),
        lots=st.integers(0, 8),
        available=st.sampled_from([True, True, True, False]),
        memory_mib=st.sampled_from([2048, 8192]),
        zone=st.sampled_from(["de-north", "fr-east"]),
        moved_to=st.sampled_from([None] * 7 + ["rosa"]),
    )
    def node_reports(
        self,
        node_id: str,
        lots: int,
        available: bool,
        memory_mib: int,
        zone: str,
        moved_to: str | None,
    ) -> None:
        features = samples.features(node_id, moved_to or NODES[node_id], memory_mib_per_lot=memory_mib, zone=zone)
        self.desk.give(Capacity(features, lots, available, "capacity_reported"))

    @rule(then=st.sampled_from(["goes on", "goes on", "restarts", "restarts", "halts"]))
    def the_desk(self, then: str) -> None:
        if then == "restarts":
            self.desk.restart()
        elif self.desk.auditor.halted or then == "halts":
            self.desk.halt(halted=not self.desk.auditor.halted)

    def teardown(self) -> None:
        self.desk.check_replay()
        self.desk.check_replay(snapshot_at=len(self.desk.journal) // 2)

    def _new_id(self) -> str:
        self.order_ids.append(f"o{len(self.order_ids) + 1}")
        return self.order_ids[-1]


def machine_for(book: type[Book]) -> type[BookMachine]:
    """The machine for one implementation."""
    return type(f"{book.__name__}Machine", (BookMachine,), {"book_class": book})
