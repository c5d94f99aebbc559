"""Print the one-time link that makes the first steward."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts import services
from common.clock import database_now


class Command(BaseCommand):
    """A new link replaces the one printed before."""

    help = "Print the one-time link for the first steward, valid for 24 hours."

    def handle(self, *args: Any, **options: Any) -> None:
        link = services.first_steward_link(database_now())
        if link is None:
            self.stderr.write("There is a cooperative already; its stewards invite others at /cooperative/.")
            return
        self.stdout.write(link)
