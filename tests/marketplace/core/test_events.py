"""Events survive the journal's JSON unchanged, and what no correct caller produces is an error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core import effects as fx
from marketplace.core import events
from marketplace.core.events import Cancel, Capacity, Event, Place, Policy, Return
from marketplace.core.orders import BuyOrder, Lease, OrderState, Reason, SellOrder, TimeInForce
from marketplace.core.wellformed import MAX_WHOLE, Malformed
from opengrid import canonical
from tests.marketplace.core.samples import buy, capacity, features, sell
from tests.marketplace.core.test_fit import FEATURES, NEEDS

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
CODES = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
COUNTS = st.integers(1, MAX_WHOLE)
TIMES = st.sampled_from(TimeInForce)
BUYS = st.builds(BuyOrder, IDS, IDS, COUNTS, COUNTS, NEEDS, TIMES, st.none() | COUNTS)
SELLS = st.builds(SellOrder, IDS, IDS, IDS, COUNTS, COUNTS, st.booleans(), TIMES)
EVENTS = st.one_of(
    st.builds(Place, BUYS | SELLS),
    st.builds(Cancel, IDS, CODES),
    st.builds(Capacity, FEATURES, COUNTS, st.booleans(), CODES),
    st.builds(Return, IDS, CODES),
    st.builds(Policy, st.booleans(), CODES),
)


@given(EVENTS)
def test_an_event_comes_back_from_json_as_it_was(event: Event) -> None:
    assert events.event_from_dict(json.loads(json.dumps(event.to_dict()))) == event


@given(EVENTS)
def test_an_event_has_canonical_bytes_that_say_it_all(event: Event) -> None:
    data = canonical.canonical_bytes(event.to_dict())

    assert events.event_from_dict(canonical.parse_canonical(data)) == event


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: buy("b", 0, 50), "lots"),
        (lambda: buy("b", -1, 50), "lots"),
        (lambda: buy("b", True, 50), "lots"),
        (lambda: buy("b", 1.0, 50), "lots"),
        (lambda: buy("b", MAX_WHOLE + 1, 50), "lots"),
        (lambda: sell("s", 1, -1), "limit_price_micro"),
        (lambda: buy("", 1, 50), "order_id"),
        (lambda: buy("b", 1, 50, owner=""), "owner"),
        (lambda: buy("b", 1, 50, spread=0), "max_lots_per_owner"),
        (lambda: BuyOrder("b", "alice", 1, 50, None), "needs"),
        (lambda: SellOrder("s", "olga", "n1", 1, 5, time_in_force="GTC"), "time_in_force"),
        (lambda: SellOrder("s", "olga", "n1", 1, 5, standing=1), "standing"),
        (lambda: capacity(lots=-1), "lots"),
        (lambda: capacity(reason="it broke"), "reason"),
        (lambda: Capacity(features(), 1, "yes", "ok"), "available"),
        (lambda: Capacity(None, 1, True, "ok"), "features"),
        (lambda: Cancel("b", ""), "reason"),
        (lambda: Return("", "done"), "ref"),
        (lambda: Policy(1, "done"), "halted"),
        (lambda: Place("b"), "order"),
    ],
)
def test_malformed_values_are_an_error(build: Any, name: str) -> None:
    with pytest.raises(Malformed, match=name):
        build()


def _changed(event: Event, **changes: Any) -> dict[str, Any]:
    return {**event.to_dict(), **changes}


def _without(event: Event, key: str) -> dict[str, Any]:
    return {name: value for name, value in event.to_dict().items() if name != key}


PLACED = Place(buy("b", 1, 50))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"kind": "explode"},
        {"kind": ["place"]},
        _changed(Cancel("b"), extra=1),
        _without(Cancel("b"), "reason"),
        _changed(Cancel("b"), order_id=7),
        _changed(PLACED, order=None),
        _changed(PLACED, order={**PLACED.order.to_dict(), "side": "LEND"}),
        _changed(PLACED, order={**PLACED.order.to_dict(), "time_in_force": "GTD"}),
        _changed(PLACED, order={**PLACED.order.to_dict(), "time_in_force": None}),
        _changed(PLACED, order={**PLACED.order.to_dict(), "needs": {"runner": "onnx"}}),
        _changed(capacity(), features={**features().to_dict(), "runners": "onnx"}),
        _changed(capacity(), features={**features().to_dict(), "runners": ["onnx", "onnx"]}),
        _changed(capacity(), features={**features().to_dict(), "runners": [["onnx"]]}),
    ],
    ids=str,
)
def test_a_journal_entry_that_is_no_event_is_an_error(data: object) -> None:
    with pytest.raises(Malformed):
        events.event_from_dict(data)


LEASE = Lease("7.1", "b", "s", "alice", "olga", "n1", 2, 50)


@pytest.mark.parametrize(
    ("effect", "data"),
    [
        (
            fx.OrderChanged("b", OrderState.FILLED, 0, 2, Reason.FILLED),
            {
                "kind": "order_changed",
                "order_id": "b",
                "state": "FILLED",
                "open_lots": 0,
                "filled_lots": 2,
                "reason": "filled",
            },
        ),
        (fx.TradeMade(LEASE), {"kind": "trade_made", "lease": LEASE.to_dict()}),
        (
            fx.CapacityChanged("n1", 4, False, 3, "node_dark"),
            {
                "kind": "capacity_changed",
                "node_id": "n1",
                "lots": 4,
                "available": False,
                "leased_lots": 3,
                "reason": "node_dark",
            },
        ),
        (
            fx.PolicyChanged(True, "halted"),
            {"kind": "policy_changed", "halted": True, "reason": "halted"},
        ),
    ],
)
def test_an_effect_has_a_plain_form_for_feeds(effect: fx.Effect, data: dict[str, Any]) -> None:
    assert fx.to_dict(effect) == data
    assert canonical.canonical_bytes(fx.to_dict(effect))


def test_final_states_are_final() -> None:
    assert [state.value for state in OrderState if state.is_final] == [
        "FILLED",
        "CANCELLED",
        "REJECTED",
    ]
