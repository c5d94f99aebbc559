"""Publish after commit that something changed; pages, agents and the matcher are woken by it.

A wake-up is a hint: whoever misses it finds the change by polling PostgreSQL.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final

import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

GROUP_PREFIX: Final = "asgi__group__"
"""What channels_redis.pubsub puts before the name of a group."""

_redis = redis.Redis.from_url(settings.WAKE_REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def publish(topic: str) -> None:
    """Tell every page that shows `topic` (such as "job.42") to render again, after commit."""
    _after_commit(_Message(topic, (("type", "changed"), ("topic", topic))))


def wake_node(node_id: int) -> None:
    """Tell a node's agent that work may be waiting, after commit."""
    _after_commit(_Message(f"node.{node_id}", (("type", "wake"),)))


def wake_matcher(pool_id: int) -> None:
    """Tell the pool's matcher that its book has input, after commit."""
    _after_commit(_WakeUp(f"matcher.{pool_id}"))


class Wake:
    """Waits for wake-ups of matchers. Without Redis it is a timer, and tries again once a second."""

    def __init__(self) -> None:
        self._channels: set[str] = set()
        self._subscription: redis.client.PubSub | None = None
        self._retry_at = 0.0

    def listen(self, pool_id: int) -> None:
        """Also wake for `pool_id`."""
        self._channels.add(f"matcher.{pool_id}")
        self._drop()

    def wait(self, seconds: float) -> None:
        """Return at the next wake-up, after `seconds` at the latest."""
        began = time.monotonic()
        try:
            if self._subscription is None and self._channels and began >= self._retry_at:
                self._subscription = _redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                self._subscription.subscribe(*self._channels)
            if self._subscription is not None:
                self._subscription.get_message(timeout=seconds)
                return
        except (redis.RedisError, OSError) as error:
            logger.warning("no wake-ups from Redis, the timer goes on: %s", error)
            self._drop()
            self._retry_at = began + 1
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))

    def _drop(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


@dataclass(frozen=True)
class _Message:
    """For all members of a group of the channel layer, in the layer's own form.

    The layer itself sends from an event loop alone; to make one for each message, and a connection with it,
    cost more than the act that the message is about.
    """

    group: str
    fields: tuple[tuple[str, str], ...]

    def channel_and_text(self) -> tuple[str, bytes]:
        """What Redis is given."""
        return f"{GROUP_PREFIX}{self.group}", get_channel_layer().serialize(dict(self.fields))


@dataclass(frozen=True)
class _WakeUp:
    """For the matcher that listens on a channel."""

    channel: str

    def channel_and_text(self) -> tuple[str, bytes]:
        """What Redis is given."""
        return self.channel, b"1"


class _Outgoing:
    """The hints of a transaction, sent together once it has committed."""

    def __init__(self) -> None:
        self.hints: dict[_Message | _WakeUp, None] = {}

    def __call__(self) -> None:
        try:
            pipeline = _redis.pipeline(transaction=False)
            for hint in self.hints:
                pipeline.publish(*hint.channel_and_text())
            pipeline.execute()
        except (redis.RedisError, OSError) as error:
            logger.warning("%s live updates or wake-ups not sent: %s", len(self.hints), error)


def _after_commit(hint: _Message | _WakeUp) -> None:
    """Send a hint once per transaction, however many acts in it wish to; one whose savepoint is rolled back is not."""
    connection = transaction.get_connection()
    alive = set(connection.savepoint_ids)
    waiting = [(ids, act) for ids, act, *_ in connection.run_on_commit if isinstance(act, _Outgoing)]
    if any(ids <= alive and hint in act.hints for ids, act in waiting):
        return
    outgoing = next((act for ids, act in waiting if ids == alive), None)
    if outgoing is not None:
        outgoing.hints[hint] = None
        return
    outgoing = _Outgoing()
    outgoing.hints[hint] = None
    transaction.on_commit(outgoing)
