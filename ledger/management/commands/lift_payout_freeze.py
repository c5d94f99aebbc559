"""`manage.py lift_payout_freeze --by NAME --reason TEXT`: let credits leave the platform again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common import errors
from ledger import services


class Command(BaseCommand):
    """Record who ends all freezes, and why."""

    help = "Lift every payout freeze. The next check_ledger freezes again what still differs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name and reason are required."""
        parser.add_argument("--by", required=True, help="the person who decided it")
        parser.add_argument("--reason", required=True, help="why payouts are safe again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Lift and report."""
        try:
            lifted = services.lift_payout_freeze(lifted_by=options["by"], reason=options["reason"])
        except errors.AppError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{lifted} freezes lifted.")
