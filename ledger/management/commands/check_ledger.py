"""`manage.py check_ledger`: recompute the books; exit 1 and freeze payouts if they differ."""

import sys
import time
from typing import Any

from django.core.management.base import BaseCommand

from ledger import queries, services


class Command(BaseCommand):
    """Print a report of the check."""

    help = "Recompute every promise of the ledger from its postings; on any difference freeze payouts and exit 1."

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report."""
        started = time.monotonic()
        differences = services.check_ledger()
        seconds = time.monotonic() - started
        extent = queries.extent()
        self.stdout.write(f"{extent.transfers} transfers, {extent.postings} postings checked in {seconds:.2f} s")
        for difference in differences:
            self.stdout.write(f"  {difference}")
        verdict = f"{len(differences)} differences" if differences else "The books balance"
        payouts = "frozen" if queries.payouts_frozen() else "open"
        self.stdout.write(f"{verdict}. Payouts are {payouts}.")
        if differences:
            sys.exit(1)
