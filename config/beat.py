"""Beat's scheduler, which also notes in PostgreSQL that it still turns."""

import logging
import time
from typing import Any

from celery.beat import PersistentScheduler
from django import db

from config import progress
from config.models import ProcessProgress

logger = logging.getLogger(__name__)
LONGEST_TICK_SECONDS = 2.0
LEAST_RECORD_SECONDS = 1.0


class ProgressScheduler(PersistentScheduler):
    """Celery's file scheduler; a tick that hangs, e.g. on a dead broker, leaves the row behind."""

    recorded_at_seconds = float("-inf")

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, then note the progress; return the seconds until the next tick."""
        seconds: float = super().tick(*args, **kwargs)
        now = time.monotonic()
        if now - self.recorded_at_seconds >= LEAST_RECORD_SECONDS:
            self.recorded_at_seconds = now
            self._record()
        return min(seconds, LONGEST_TICK_SECONDS)

    def _record(self) -> None:
        try:
            progress.record(component=ProcessProgress.Component.BEAT)
        except db.Error as error:
            logger.warning("PostgreSQL did not take the progress of beat: %s", error)
            db.connection.close()
