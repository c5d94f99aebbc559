"""What the work at hand is done for, so that lines of the log can be brought together."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "asked-by-request"
"""The header of a message to the worker that names the request."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request; empty outside of one. A background task has that of the request which asked for it."""

background: ContextVar[Mapping[str, str | int]] = ContextVar("background", default={})  # noqa: B039 read only
"""Of a background task: its name, its id, and the ids it was given; empty outside of one."""


@contextmanager
def doing(*, request: str, **facts: str | int) -> Iterator[None]:
    """Until the end of the block, lines of the log tell `request` and `facts`."""
    known, held = request_id.set(request), background.set(facts)
    try:
        yield
    finally:
        background.reset(held)
        request_id.reset(known)
