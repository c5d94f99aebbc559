"""The agent's own clock. It signs requests with it; leases and deadlines are the coordinator's to time."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The machine's time, aware, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)
