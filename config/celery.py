"""The Celery application. Its tasks are short, idempotent and take ids."""

import os
from typing import Any

from celery import Celery, Task

from common import trace

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Traced(Task):
    """A task whose lines in the log tell its name, its ids, and the request that asked for it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it."""
        request = self.request
        asked_by = (request.headers or {}).get(trace.HEADER, "")
        ids = {name: value for name, value in kwargs.items() if name.endswith("_id")}
        with trace.doing(request=asked_by, celery_task=self.name, celery_id=request.id or "", **ids):
            return super().__call__(*args, **kwargs)


app = Celery("commongrid", task_cls=Traced)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
