"""Enqueue Celery tasks by name after commit. Messages are hints: the timer drains what they miss."""

import logging
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

HINT_EXPIRES_SECONDS = 60


def enqueue(task_name: str, **arguments: int | str) -> None:
    """Send `task_name` with ids as arguments once the transaction has committed.

    A broker that does not answer loses the hint, not the work. Raises: celery NotRegistered.
    """
    task = current_app.tasks[task_name]
    transaction.on_commit(partial(_send, task, arguments))


def _send(task: Any, arguments: dict[str, int | str]) -> None:
    try:
        task.apply_async(kwargs=arguments, expires=HINT_EXPIRES_SECONDS, retry=False)
    except OperationalError as error:
        logger.warning("hint %s%s not sent, the timer will find the work: %s", task.name, arguments, error)
