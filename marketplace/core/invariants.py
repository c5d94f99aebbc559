"""What must hold in a book after every event, read from its snapshot alone.

That a node is never oversold while it shrinks depends on history, so the book's tests watch it
trade by trade; everything that a state can show by itself is here.
"""

from collections import Counter
from collections.abc import Iterator

from marketplace.core import fit
from marketplace.core.live_orders import LiveSell, crosses
from marketplace.core.orders import TimeInForce
from marketplace.core.snapshot import Snapshot


def violations(snapshot: Snapshot) -> tuple[str, ...]:
    """Every rule the state breaks, in words; empty for a sound book."""
    broken = tuple(_references(snapshot))
    if broken:  # the other checks follow the references
        return broken
    return (*_lots(snapshot), *_spread(snapshot), *_crossed(snapshot))


def _references(snapshot: Snapshot) -> Iterator[str]:
    owners = {node.node_id: node.owner for node in snapshot.nodes}
    for name, ids in (
        ("node", [node.node_id for node in snapshot.nodes]),
        ("order", [live.order.order_id for live in snapshot.orders]),
        ("sequence", [str(live.sequence) for live in snapshot.orders]),
        ("lease", [lease.ref for lease in snapshot.leases]),
    ):
        yield from (f"{name} {value} is there twice" for value, n in Counter(ids).items() if n > 1)
    for live in snapshot.orders:
        if live.sequence > snapshot.sequence:
            yield f"order {live.order.order_id} has a sequence that is still to come"
        if isinstance(live, LiveSell) and owners.get(live.order.node_id) != live.order.owner:
            yield f"offer {live.order.order_id} is not by the owner of its node"
    for lease in snapshot.leases:
        if lease.node_id not in owners:
            yield f"lease {lease.ref} is on an unknown node"


def _lots(snapshot: Snapshot) -> Iterator[str]:
    leased: Counter[str] = Counter()
    for lease in snapshot.leases:
        leased[lease.buy_order_id] += lease.lots
        leased[lease.sell_order_id] += lease.lots
    for live in snapshot.orders:
        order, out = live.order, leased[live.order.order_id]
        standing = isinstance(live, LiveSell) and live.order.standing
        if live.open_lots + (out if standing else live.filled_lots) != order.lots:
            yield f"order {order.order_id} has lost or gained lots"
        if out > live.filled_lots:
            yield f"order {order.order_id} has more lots under lease than it ever traded"
        if order.time_in_force is not TimeInForce.GTC or live.state.is_final:
            yield f"order {order.order_id} must not rest"


def _spread(snapshot: Snapshot) -> Iterator[str]:
    limits = {bid.order.order_id: bid.order.max_lots_per_owner for bid in snapshot.bids}
    for (buy_order_id, seller), lots in snapshot.held_lots.items():
        limit = limits.get(buy_order_id)
        if limit is not None and lots > limit:
            yield f"order {buy_order_id} holds {lots} lots of {seller}, more than {limit}"
    for lease in snapshot.leases:
        if lease.buyer == lease.seller:
            yield f"lease {lease.ref} is a self-trade"


def _crossed(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.halted:
        return
    nodes = {node.node_id: node.features for node in snapshot.nodes}
    free, held = snapshot.free_lots, snapshot.held_lots
    able = [ask for ask in snapshot.asks if ask.open_lots and free[ask.order.node_id]]
    for bid in snapshot.bids:
        for ask in able:
            buy, sell = bid.order, ask.order
            if not crosses(buy, sell):
                break
            limit = buy.max_lots_per_owner
            spread = limit is None or held[buy.order_id, sell.owner] < limit
            if buy.owner != sell.owner and spread and fit.fits(buy.needs, nodes[sell.node_id]):
                yield f"orders {buy.order_id} and {sell.order_id} rest although they can trade"
