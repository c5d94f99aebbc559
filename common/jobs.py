"""Enqueue Celery tasks by name after commit. Messages are hints: the timer drains what they miss."""

import logging
from functools import partial
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from common import trace

logger = logging.getLogger(__name__)

HINT_EXPIRES_SECONDS = 60
MARK_LIFETIME_MS = 2000

_MARK = "enqueued:"
_marks = redis.Redis.from_url(settings.WAKE_REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def enqueue(task_name: str, **arguments: int | str) -> None:
    """Send `task_name` with ids as arguments once the transaction has committed.

    A broker that does not answer loses the hint, not the work. Raises: celery NotRegistered.
    """
    task = current_app.tasks[task_name]
    transaction.on_commit(partial(_send, task, arguments))


def enqueue_once(task_name: str) -> None:
    """As `enqueue`, for a task that does all that is waiting: one message is enough until it has begun.

    The task calls `begin` first. A mark that is left over expires; without Redis nothing is marked.
    """
    task = current_app.tasks[task_name]
    transaction.on_commit(partial(_send_once, task))


def begin(task_name: str) -> None:
    """What comes from now on needs another message."""
    try:
        _marks.delete(_MARK + task_name)
    except redis.RedisError as error:
        logger.warning("the mark of %s stays until it expires: %s", task_name, error)


def _send_once(task: Any) -> None:
    try:
        is_first = _marks.set(_MARK + task.name, 1, nx=True, px=MARK_LIFETIME_MS)
    except redis.RedisError:
        is_first = True
    if is_first:
        _send(task, {})


def _send(task: Any, arguments: dict[str, int | str]) -> None:
    try:
        asked_by = {trace.HEADER: trace.request_id.get()}
        task.apply_async(kwargs=arguments, headers=asked_by, expires=HINT_EXPIRES_SECONDS, retry=False)
    except OperationalError as error:
        logger.warning("hint %s%s not sent, the timer will find the work: %s", task.name, arguments, error)
