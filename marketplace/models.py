"""Pools and their books, orders, the journal, trades and the leases that trades open.

`JournalEvent` is the truth; orders, trades and leases are what the matcher projected from it.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Cooperative, Membership
from nodes.models import Node


class Pool(models.Model):
    """A marketplace of one or more cooperatives; its matcher alone owns the capacity in it."""

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="own_pools")
    cooperatives = models.ManyToManyField(Cooperative, related_name="pools")
    name = models.CharField(max_length=100)
    matcher_epoch = models.PositiveBigIntegerField(default=0)
    """Raised by each matcher that is elected; a matcher of an older epoch cannot write."""
    matcher_progress_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cooperative", "name"], name="pool_name_once")]

    def __str__(self) -> str:
        return self.name


class ResourceClass(models.Model):
    """What is traded: a standard unit of measured capacity. 1000 milli is one unit."""

    code = models.CharField(max_length=60, unique=True)
    lot_milli = models.PositiveIntegerField()
    description = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.code


class Book(models.Model):
    """The orders of one pool for one class and term."""

    class Term(models.TextChoices):
        """How long a lease lasts. ON_DEMAND is open-ended."""

        ON_DEMAND = "ON_DEMAND"

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="books")
    resource_class = models.ForeignKey(ResourceClass, on_delete=models.PROTECT, related_name="books")
    term = models.CharField(max_length=12, choices=Term, default=Term.ON_DEMAND)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "resource_class", "term"], name="book_once"),
        ]

    def __str__(self) -> str:
        return f"{self.resource_class} {self.term} in {self.pool}"


class Order(models.Model):
    """A wish to buy or sell lots. Intake writes the wish; only the matcher writes what became of it."""

    class Side(models.TextChoices):
        """BUY takes capacity, SELL offers it."""

        BUY = "BUY"
        SELL = "SELL"

    class TimeInForce(models.TextChoices):
        """What happens to the part that does not trade at once."""

        GTC = "GTC"
        IOC = "IOC"
        FOK = "FOK"

    class State(models.TextChoices):
        """ACCEPTED waits for the matcher; OPEN and PARTIALLY_FILLED rest; the others are final."""

        ACCEPTED = "ACCEPTED"
        OPEN = "OPEN"
        PARTIALLY_FILLED = "PARTIALLY_FILLED"
        FILLED = "FILLED"
        CANCELLED = "CANCELLED"
        REJECTED = "REJECTED"

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="orders")
    side = models.CharField(max_length=4, choices=Side)
    time_in_force = models.CharField(max_length=3, choices=TimeInForce, default=TimeInForce.GTC)
    price_micro = models.PositiveBigIntegerField()
    """Limit per unit-hour."""
    lots = models.PositiveIntegerField()
    placed_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="orders")
    owner_key = models.CharField(max_length=40)
    """The operator cluster that self-trade prevention goes by, such as "user:5"."""
    node = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, blank=True, related_name="orders")
    is_standing = models.BooleanField(default=False)
    needs = models.JSONField(default=dict)
    max_lots_per_owner = models.PositiveIntegerField(null=True, blank=True)
    reference = models.CharField(max_length=60, blank=True)
    """What the lots are for, such as "job:42"; opaque to the market."""
    hold_address = models.CharField(max_length=100, blank=True)
    placed_at = models.DateTimeField(db_default=Now())

    sequence = models.PositiveBigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.ACCEPTED)
    reason = models.CharField(max_length=60, blank=True)
    open_lots = models.PositiveIntegerField(default=0)
    filled_lots = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(lots__gt=0), name="order_has_lots"),
            models.CheckConstraint(condition=Q(open_lots__lte=F("lots")), name="order_open_within_lots"),
            models.CheckConstraint(
                condition=Q(is_standing=True) | Q(filled_lots__lte=F("lots")), name="order_never_overfilled"
            ),
            models.CheckConstraint(
                condition=Q(side="SELL", node__isnull=False) | Q(side="BUY", node__isnull=True, is_standing=False),
                name="order_sell_names_its_node",
            ),
            models.CheckConstraint(
                condition=Q(state="ACCEPTED", sequence__isnull=True) | ~Q(state="ACCEPTED") & Q(sequence__isnull=False),
                name="order_sequenced_by_the_matcher",
            ),
            models.UniqueConstraint(fields=["book", "sequence"], name="order_sequence_once"),
        ]
        indexes = [
            # the matcher's intake
            models.Index(fields=["book", "id"], condition=Q(state="ACCEPTED"), name="order_intake"),
            # the visible book
            models.Index(
                fields=["book", "side", "price_micro", "sequence"],
                condition=Q(state__in=["OPEN", "PARTIALLY_FILLED"]),
                name="order_resting",
            ),
            # orders of a job
            models.Index(fields=["reference"], condition=~Q(reference=""), name="order_by_reference"),
            # my orders, newest first
            models.Index(fields=["placed_by", "-id"], name="order_by_member"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.lots} at {self.price_micro}"


class BookInput(models.Model):
    """Something other than an order that the matcher must take up: cancel, return, capacity, policy."""

    class Kind(models.TextChoices):
        """CANCEL an order, RETURN a lease's lots, new CAPACITY of a node, POLICY of the book."""

        CANCEL = "CANCEL"
        RETURN = "RETURN"
        CAPACITY = "CAPACITY"
        POLICY = "POLICY"

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="inputs")
    kind = models.CharField(max_length=10, choices=Kind)
    payload = models.JSONField()
    made_at = models.DateTimeField(db_default=Now())
    sequence = models.PositiveBigIntegerField(null=True, blank=True)
    """The journal's number for it, once taken up."""

    class Meta:
        # the matcher's intake
        indexes = [models.Index(fields=["book", "id"], condition=Q(sequence__isnull=True), name="bookinput_intake")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.book}"


class JournalEvent(models.Model):
    """One input as the matcher took it up, in order. Append-only; replaying it rebuilds the book."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="journal")
    sequence = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=10)
    payload = models.JSONField()
    epoch = models.PositiveBigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "sequence"], name="journalevent_sequence_once")]

    def __str__(self) -> str:
        return f"{self.book} #{self.sequence} {self.kind}"


class BookSnapshot(models.Model):
    """The book's state after `sequence`, so that a matcher need not replay from the beginning."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="snapshots")
    sequence = models.PositiveBigIntegerField()
    state = models.JSONField()
    state_hash = models.CharField(max_length=71)
    taken_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "sequence"], name="booksnapshot_once")]

    def __str__(self) -> str:
        return f"{self.book} at #{self.sequence}"


class Trade(models.Model):
    """A match at the resting order's price. Append-only."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="trades")
    ref = models.CharField(max_length=40)
    """Sequence of the event that caused it, a dot, a counter: deterministic."""
    buy_order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="buys")
    sell_order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="sales")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="trades")
    lots = models.PositiveIntegerField()
    price_micro = models.PositiveBigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "ref"], name="trade_ref_once"),
            models.CheckConstraint(condition=Q(lots__gt=0), name="trade_has_lots"),
        ]

    def __str__(self) -> str:
        return f"{self.lots} lots at {self.price_micro}"


class PriceBar(models.Model):
    """What traded in a book within one minute. The matcher adds to it in the transaction that writes the trades."""

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="bars")
    minute_at = models.DateTimeField()
    first_micro = models.PositiveBigIntegerField()
    high_micro = models.PositiveBigIntegerField()
    low_micro = models.PositiveBigIntegerField()
    last_micro = models.PositiveBigIntegerField()
    lots = models.PositiveBigIntegerField()
    trades = models.PositiveBigIntegerField()

    class Meta:
        # the price of a book over time
        constraints = [models.UniqueConstraint(fields=["book", "minute_at"], name="pricebar_once")]

    def __str__(self) -> str:
        return f"{self.lots} lots at {self.last_micro}"


class PoolSample(models.Model):
    """How much of a pool was there and in use at a full minute. Kept for a month."""

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="samples")
    at = models.DateTimeField()
    nodes = models.PositiveIntegerField()
    """Nodes that were there and could take work."""
    lots = models.PositiveIntegerField()
    """What these nodes had to sell, sold or not."""
    sold_lots = models.PositiveIntegerField()

    class Meta:
        # the use of a pool over time
        constraints = [models.UniqueConstraint(fields=["pool", "at"], name="poolsample_once")]

    def __str__(self) -> str:
        return f"{self.sold_lots} of {self.lots} lots"


class Lease(models.Model):
    """So many lots of one node for one job or member, at the trade's price, until it ends."""

    class State(models.TextChoices):
        """LIVE gives work; ENDING gives none and waits for the matcher to take the lots back."""

        LIVE = "LIVE"
        ENDING = "ENDING"
        CLOSED = "CLOSED"

    trade = models.OneToOneField(Trade, on_delete=models.PROTECT, related_name="lease")
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="leases")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="leases")
    holder = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="leases")
    reference = models.CharField(max_length=60, blank=True)
    lots = models.PositiveIntegerField()
    price_micro = models.PositiveBigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.LIVE)
    opened_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=60, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(lots__gt=0), name="lease_has_lots"),
            models.CheckConstraint(
                condition=Q(state="LIVE", ended_at__isnull=True) | (~Q(state="LIVE") & Q(ended_at__isnull=False)),
                name="lease_end_is_whole",
            ),
        ]
        indexes = [
            # work for a node that claims
            models.Index(fields=["node", "reference"], condition=Q(state="LIVE"), name="lease_live_by_node"),
            # leases of a job
            models.Index(fields=["reference"], name="lease_by_reference"),
        ]

    def __str__(self) -> str:
        return f"lease {self.pk} of {self.node}"
