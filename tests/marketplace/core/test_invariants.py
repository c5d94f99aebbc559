"""The canonical state, and the rules of a sound one, each broken on purpose."""

from dataclasses import replace

import pytest

from marketplace.core import invariants
from marketplace.core.live_orders import LiveBuy, LiveSell
from marketplace.core.orders import Lease
from marketplace.core.snapshot import Snapshot
from tests.marketplace.core.samples import buy, capacity, sell

LEASE = Lease("4.1", "b", "s", "alice", "olga", "n1", 2, 50)
SOUND = Snapshot(
    sequence=4,
    halted=False,
    nodes=(capacity("n1", lots=2), capacity("n2")),
    orders=(
        LiveSell(sell("s", 3, 50, standing=True), 2, open_lots=1, filled_lots=2),
        LiveSell(sell("s2", 3, 90, node_id="n2"), 3, open_lots=3),
        LiveBuy(buy("b", 5, 60, spread=2), 4, open_lots=3, filled_lots=2),
    ),
    leases=(LEASE,),
)
ASK, DEAR_ASK, BID = SOUND.orders


def test_a_sound_state_breaks_no_rule() -> None:
    assert invariants.violations(SOUND) == ()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (replace(SOUND, nodes=(*SOUND.nodes, capacity("n2"))), "node n2 is there twice"),
        (replace(SOUND, orders=(*SOUND.orders, BID)), "order b is there twice"),
        (replace(SOUND, orders=(ASK, replace(DEAR_ASK, sequence=2), BID)), "sequence 2 is there"),
        (replace(SOUND, leases=(LEASE, LEASE)), "lease 4.1 is there twice"),
        (replace(SOUND, sequence=3), "order b has a sequence that is still to come"),
        (replace(SOUND, nodes=SOUND.nodes[:1]), "offer s2 is not by the owner of its node"),
        (
            replace(SOUND, nodes=(SOUND.nodes[0], capacity("n2", "pete"))),
            "offer s2 is not by the owner of its node",
        ),
        (
            replace(SOUND, leases=(replace(LEASE, node_id="n9"),)),
            "lease 4.1 is on an unknown node",
        ),
        (replace(SOUND, orders=(replace(ASK, open_lots=2), DEAR_ASK, BID)), "order s has lost"),
        (replace(SOUND, orders=(ASK, DEAR_ASK, replace(BID, open_lots=4))), "order b has lost"),
        (
            replace(SOUND, orders=(replace(ASK, filled_lots=1), DEAR_ASK, BID)),
            "order s has more lots under lease",
        ),
        (
            replace(
                SOUND,
                orders=(
                    ASK,
                    replace(DEAR_ASK, order=sell("s2", 3, 90, node_id="n2", tif="IOC")),
                    BID,
                ),
            ),
            "order s2 must not rest",
        ),
        (
            replace(SOUND, orders=(ASK, replace(DEAR_ASK, open_lots=0, filled_lots=3), BID)),
            "order s2 must not rest",
        ),
        (
            replace(SOUND, orders=(ASK, DEAR_ASK, replace(BID, order=buy("b", 5, 60, spread=1)))),
            "order b holds 2 lots of olga, more than 1",
        ),
        (replace(SOUND, leases=(replace(LEASE, buyer="olga"),)), "lease 4.1 is a self-trade"),
        (
            replace(SOUND, orders=(ASK, DEAR_ASK, replace(BID, order=buy("b", 5, 90, spread=3)))),
            "orders b and s2 rest although they can trade",
        ),
    ],
)
def test_a_broken_rule_is_named(broken: Snapshot, rule: str) -> None:
    found = invariants.violations(broken)

    assert any(text.startswith(rule) for text in found), found


def test_a_halted_book_may_be_crossed() -> None:
    crossed = replace(SOUND, orders=(ASK, DEAR_ASK, replace(BID, order=buy("b", 5, 90))))

    assert invariants.violations(crossed) != ()
    assert invariants.violations(replace(crossed, halted=True)) == ()


def test_the_canonical_state_does_not_depend_on_the_order_in_which_a_book_keeps_things() -> None:
    leases = (LEASE, replace(LEASE, ref="4.2"))
    one = replace(SOUND, leases=leases)
    other = replace(SOUND, nodes=SOUND.nodes[::-1], orders=SOUND.orders[::-1], leases=leases[::-1])

    assert one.to_dict() == other.to_dict()
