"""`manage.py rebuild_balances`: compute all balances anew, needed once after a logical restore."""

from typing import Any

from django.core.management.base import BaseCommand

from ledger import services


class Command(BaseCommand):
    """Forget the projections and fold them again; see services.rebuild_balances."""

    help = "Project all balances anew from the postings. Run it once after restoring a dump into a new server."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild and report."""
        accounts = services.rebuild_balances()
        self.stdout.write(f"Balances rebuilt; {accounts} accounts have folded postings.")
