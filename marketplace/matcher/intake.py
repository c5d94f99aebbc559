"""What the books of a pool have to take up: orders, other inputs, and what became of the nodes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from common.clock import database_now
from marketplace import services
from marketplace.core import events
from marketplace.core.book import Book as CoreBook
from marketplace.models import Book, BookInput, Order
from marketplace.queries import features_of
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node

INTAKE_LIMIT = 2000


@dataclass(frozen=True)
class Input:
    """One thing to take up: the event, when it came, and the row it came from."""

    event: events.Event
    came_at: datetime
    order: Order | None = None
    entry: BookInput | None = None


def arrived(book: Book) -> list[Input]:
    """Orders and other inputs that no tick has taken up, in the order in which they came."""
    orders = Order.objects.filter(book=book, state=Order.State.ACCEPTED).order_by("pk")[:INTAKE_LIMIT]
    entries = BookInput.objects.filter(book=book, sequence__isnull=True).order_by("pk")[:INTAKE_LIMIT]
    taken = [Input(events.Place(services.core_order(order)), order.placed_at, order=order) for order in orders]
    arriving = {str(entry.order.pk): entry.came_at for entry in taken if entry.order}
    taken += _other_inputs(book, entries, arriving)
    return sorted(taken, key=lambda entry: (entry.came_at, entry.entry is not None))


def _other_inputs(book: Book, entries: Iterable[BookInput], arriving: dict[str, datetime]) -> Iterator[Input]:
    """Cancels, returns and the like. A cancel comes after its order, in a later tick if the order must wait for one."""
    decoded = [(entry, events.event_from_dict(entry.payload)) for entry in entries]
    cancelled = [int(event.order_id) for _, event in decoded if isinstance(event, events.Cancel)]
    not_yet = Order.objects.filter(book=book, pk__in=cancelled, state=Order.State.ACCEPTED)
    waiting = {str(pk) for pk in not_yet.values_list("pk", flat=True)}
    for entry, event in decoded:
        came_at = entry.made_at
        if isinstance(event, events.Cancel) and event.order_id in waiting:
            if event.order_id not in arriving:
                continue
            came_at = max(came_at, arriving[event.order_id])
        yield Input(event, came_at, entry=entry)


def capacity_changes(book: Book, core: CoreBook) -> Iterator[Input]:
    """What has become of the pool's nodes since the book last heard of them."""
    now = database_now()
    known = core.capacities()
    fleet = Node.objects.filter(cooperative_id=book.pool.cooperative_id).exclude(state=states.JOINED)
    for node in fleet.select_related("operator").order_by("pk"):
        reason = _unavailable(node, now)
        event = events.Capacity(
            features=features_of(node),
            lots=node.sellable_lots,
            available=reason is None,
            reason=reason or "available",
        )
        if known.get(event.node_id) != event and (event.node_id in known or event.available):
            yield Input(event, now)


def _unavailable(node: Node, now: datetime) -> str | None:
    if node.state not in states.WORKING:
        return f"node_{node.state.lower()}"
    return "node_dark" if nodes.is_dark(node, now) else None
