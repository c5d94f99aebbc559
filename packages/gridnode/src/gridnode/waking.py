"""The wake-up socket: a hint that work may be waiting. The agent works without it, by polling."""

import asyncio
import logging
import time
from collections.abc import Callable

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from gridnode.client import Coordinator
from gridnode.patience import Backoff

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A socket that lasted this long was a good one; one that closes sooner counts as a failed try."""
PING_SECONDS = 20.0
"""A socket is dead when a ping is not answered for this long; a ping is sent this often."""


async def listen(coordinator: Coordinator, wake: Callable[[], None], *, ping_seconds: float = PING_SECONDS) -> None:
    """Call `wake` at each message, and once after each connect; reconnect for ever with growing, jittered waits."""
    backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    was_open = True
    while True:
        url, headers = coordinator.socket()
        asked: float | None = None
        began = time.monotonic()
        try:
            async with connect(
                url,
                additional_headers=headers,
                open_timeout=10,
                ping_interval=ping_seconds,
                ping_timeout=ping_seconds,
                close_timeout=1,
                max_size=65536,
            ) as socket:
                logger.info("the wake-up socket is open")
                was_open = True
                wake()
                async for _ in socket:
                    wake()
            why = f"closed with code {socket.close_code}"
        except (OSError, WebSocketException) as error:
            why = f"{type(error).__name__}: {error}"
            if isinstance(error, InvalidStatus):
                asked = _seconds(error.response.headers.get("Retry-After", ""))
        if was_open:
            logger.info("no wake-up socket (%s); polling goes on", why)
            was_open = False
        if time.monotonic() - began >= STEADY_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.wait_seconds(asked))


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
