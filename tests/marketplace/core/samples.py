"""Short ways to write nodes, needs and orders in the tests of the book."""

from typing import Any

from marketplace.core.events import Capacity
from marketplace.core.fit import Needs, NodeFeatures
from marketplace.core.orders import BuyOrder, SellOrder, TimeInForce


def features(node_id: str = "n1", owner: str = "olga", **changes: Any) -> NodeFeatures:
    """A node that runs both runners, with 2 GiB and 4 GiB of disk per lot."""
    values: dict[str, Any] = {
        "runners": frozenset({"onnx", "python"}),
        "memory_mib_per_lot": 2048,
        "disk_mib_per_lot": 4096,
        "isolation": frozenset({"mem=cgroup", "net=none"}),
        "tier": "community",
        "zone": "de-north",
    }
    return NodeFeatures(node_id=node_id, owner=owner, **{**values, **changes})


def capacity(
    node_id: str = "n1",
    owner: str = "olga",
    lots: int = 4,
    *,
    available: bool = True,
    reason: str = "capacity_reported",
    **changes: Any,
) -> Capacity:
    """A node's report."""
    return Capacity(features(node_id, owner, **changes), lots, available, reason)


def buy(
    order_id: str,
    lots: int,
    price: int,
    *,
    owner: str = "alice",
    tif: str = "GTC",
    spread: int | None = None,
    needs: Needs | None = None,
    **wanted: Any,
) -> BuyOrder:
    """A BUY order for ONNX work; `wanted` are further needs, `spread` is max_lots_per_owner."""
    return BuyOrder(
        order_id=order_id,
        owner=owner,
        lots=lots,
        limit_price_micro=price,
        needs=needs or Needs(runner="onnx", **wanted),
        time_in_force=TimeInForce(tif),
        max_lots_per_owner=spread,
    )


def sell(
    order_id: str,
    lots: int,
    price: int,
    *,
    node_id: str = "n1",
    owner: str = "olga",
    standing: bool = False,
    tif: str = "GTC",
) -> SellOrder:
    """A SELL offer of node n1 of olga, unless said otherwise."""
    return SellOrder(
        order_id=order_id,
        owner=owner,
        node_id=node_id,
        lots=lots,
        limit_price_micro=price,
        standing=standing,
        time_in_force=TimeInForce(tif),
    )
