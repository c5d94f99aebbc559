"""Writes to the market. What became of an order is the matcher's to write."""

from marketplace.services.books import CPU, book_for, pool_of
from marketplace.services.leases import end_leases
from marketplace.services.offers import keep_standing_offer, set_node_terms, standing_offers, withdraw_offer
from marketplace.services.orders import (
    LIVE_STATES,
    NOT_YET_NUMBERED,
    NewOrder,
    NodeNotOfferable,
    OrderClosed,
    PriceBelowFloor,
    cancel_order,
    cancel_orders_of,
    core_order,
    place_order,
    place_orders,
)
from marketplace.services.records import add_to_bars, sample_pools

__all__ = [
    "CPU",
    "LIVE_STATES",
    "NOT_YET_NUMBERED",
    "NewOrder",
    "NodeNotOfferable",
    "OrderClosed",
    "PriceBelowFloor",
    "add_to_bars",
    "book_for",
    "cancel_order",
    "cancel_orders_of",
    "core_order",
    "end_leases",
    "keep_standing_offer",
    "place_order",
    "place_orders",
    "pool_of",
    "sample_pools",
    "set_node_terms",
    "standing_offers",
    "withdraw_offer",
]
