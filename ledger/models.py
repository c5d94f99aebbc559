"""Double entry: accounts by address, transfers that sum to zero, postings that never change.

Nobody outside `ledger` imports this module. A balance is its projection plus the postings since; the
view `ledger_balance` and the triggers that guard these tables are in migrations/0002.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Collate, Now

from common.fields import Xid8Field
from ledger.core import addresses, postings

THIS_TRANSACTION = RawSQL("pg_current_xact_id()", [])


class LedgerAccount(models.Model):
    """A place where credits lie, named by its address; the address decides whether it may owe. Append-only."""

    address = models.CharField(max_length=100)
    asset = models.CharField(max_length=20)
    may_be_negative = models.BooleanField(default=False)
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["address", "asset"], name="ledgeraccount_one_per_address_asset"),
            models.CheckConstraint(condition=Q(address__regex=addresses.ACCEPTED), name="ledgeraccount_has_an_address"),
            models.CheckConstraint(condition=Q(asset__regex=postings.ASSET), name="ledgeraccount_has_an_asset"),
            models.CheckConstraint(
                condition=Q(address__regex=addresses.MAY_BE_NEGATIVE, may_be_negative=True)
                | (~Q(address__regex=addresses.MAY_BE_NEGATIVE) & Q(may_be_negative=False)),
                name="ledgeraccount_address_decides_sign",
            ),
        ]
        # the accounts of one cooperative by address, a page at a time; bytes order, whatever the database's is
        indexes = [models.Index(Collate("address", "C"), "asset", name="ledgeraccount_by_address")]

    def __str__(self) -> str:
        return f"{self.address} ({self.asset})"


class Transfer(models.Model):
    """One balanced movement of credits; corrections are transfers that reverse another. Append-only."""

    idempotency_key = models.CharField(max_length=postings.MAX_KEY, unique=True)
    kind = models.CharField(max_length=postings.MAX_KIND)
    reason = models.CharField(max_length=postings.MAX_REASON, blank=True, db_default="")
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, blank=True, related_name="reversed_by")
    fingerprint = models.CharField(max_length=71)
    xid = Xid8Field(db_default=THIS_TRANSACTION, editable=False)
    """The transaction that made it: no other may add postings."""
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(reverses=F("id")), name="transfer_never_reverses_itself"),
        ]
        # where a month, or a day, begins
        indexes = [models.Index(fields=["made_at", "id"], name="transfer_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.idempotency_key}"


class Posting(models.Model):
    """One side of a transfer: `amount_micro` is added to `account` (negative takes away). Append-only."""

    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="postings")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="postings", db_index=False)
    amount_micro = models.BigIntegerField()
    xid = Xid8Field(db_default=THIS_TRANSACTION, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(amount_micro=0), name="posting_moves_something"),
        ]
        indexes = [
            # balance of an account: its projection plus the postings since the cut
            models.Index(fields=["account", "xid"], include=["amount_micro"], name="posting_since_the_cut"),
            # statement of an account, newest first
            models.Index(fields=["account", "id"], include=["amount_micro"], name="posting_of_account"),
            # projector: all postings between two cuts
            models.Index(fields=["xid"], name="posting_by_transaction"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_micro} on account {self.account_id}"


class ProjectionCut(models.Model):
    """The one row that says up to which transaction (exclusive) the projections hold all postings."""

    upto_xid = Xid8Field()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="projectioncut_is_one_row")]

    def __str__(self) -> str:
        return f"all postings before transaction {self.upto_xid}"


class BalanceProjection(models.Model):
    """Sum of an account's postings before the cut. Written by `services.project_balances` alone."""

    account = models.OneToOneField(LedgerAccount, on_delete=models.PROTECT, primary_key=True, related_name="projection")
    balance_micro = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.balance_micro} in account {self.account_id}"


class PayoutFreeze(models.Model):
    """No credits leave the platform while a freeze has no lift. Append-only."""

    findings = models.TextField()
    """What check_ledger found, one difference per line."""
    frozen_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"payouts frozen at {self.frozen_at}"


class PayoutFreezeLift(models.Model):
    """A person's decision that a freeze is over. Append-only."""

    freeze = models.OneToOneField(PayoutFreeze, on_delete=models.PROTECT, related_name="lift")
    lifted_by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    lifted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(lifted_by="") & ~Q(reason=""), name="payoutfreezelift_says_who_and_why"
            ),
        ]

    def __str__(self) -> str:
        return f"lifted by {self.lifted_by}: {self.reason}"
