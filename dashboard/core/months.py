"""Months as addresses write them, such as 2026-11. All moments are UTC."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

_MONTH = re.compile(r"2[0-9]{3}-(0[1-9]|1[0-2])")


def check(text: str) -> str:
    """The text, if it is a month. Raises: ValueError."""
    if _MONTH.fullmatch(text) is None:
        raise ValueError(f"found {text[:20]!r}; accepted is a year and a month, such as 2026-11")
    return text


def period(text: str, like: datetime) -> tuple[datetime, datetime]:
    """The beginning of a month and of the next, in the time zone of `like`. Raises: ValueError for what is no month."""
    begins = first_of(like).replace(year=int(check(text)[:4]), month=int(text[5:]))
    return begins, _next(begins)


def first_of(moment: datetime) -> datetime:
    """The beginning of the month in which a moment lies."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def between(first: datetime, last: datetime) -> Iterator[datetime]:
    """The beginnings of the months from that of `last` back to that of `first`."""
    month, begins = first_of(last), first_of(first)
    while month >= begins:
        yield month
        month = first_of(month - timedelta(days=1))


def _next(month: datetime) -> datetime:
    return first_of(month + timedelta(days=31))
