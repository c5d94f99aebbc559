"""`manage.py matcher`: match the books of every pool until told to stop."""

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from marketplace import matcher


class Command(BaseCommand):
    """Runs the matcher; the supervisor starts a fresh one when it ends."""

    help = "Match the books of every pool that no other matcher holds."

    def handle(self, *_args: Any, **_options: Any) -> None:
        stopped: list[int] = []

        def stop(number: int, _frame: FrameType | None) -> None:
            stopped.append(number)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        matcher.run(lambda: bool(stopped))
