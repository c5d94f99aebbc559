"""Which request the work at hand is done for, so that lines of the log can be brought together."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request; empty outside of one."""
