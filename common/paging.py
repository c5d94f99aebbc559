"""Lists in pages: a cursor says where the next page begins. No page counts what lies beyond it."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from django.db.models import Model, QuerySet
from pydantic import BeforeValidator, Field, StringConstraints

from opengrid.messages import Message

MOST_ROWS: Final = 200
USUAL_ROWS: Final = 50

Row = TypeVar("Row", bound=Model)


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ValueError("only digits are accepted, at most 18")
    return int(value) if isinstance(value, str) else value


Digits: Final = BeforeValidator(_digits)
"""For a number in a query string: digits alone. Bounds stand before it, so that they are described."""
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]


class PageQuery(Message):
    """Which part of a list: `next` of the page before, and how many rows at most."""

    cursor: Cursor | None = Field(None, description="`next` of the page before; leave it out for the first page.")
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of a page, at most."), Digits] = USUAL_ROWS

    @property
    def begins_after(self) -> int | None:
        """The id of the last row of the page before."""
        return int(self.cursor) if self.cursor is not None else None


YesOrNo = Literal["true", "false"]
"""A yes or no in a query string."""


def is_true(value: YesOrNo | None) -> bool | None:
    """What it says; None where nothing was said."""
    return None if value is None else value == "true"


def newest_first(rows: QuerySet[Row], wanted: PageQuery) -> tuple[list[Row], str | None]:
    """A page by descending id, and the cursor of the next one. One query."""
    if wanted.begins_after is not None:
        rows = rows.filter(pk__lt=wanted.begins_after)
    return _cut(list(rows.order_by("-pk")[: wanted.limit + 1]), wanted)


def oldest_first(rows: QuerySet[Row], wanted: PageQuery) -> tuple[list[Row], str | None]:
    """A page by ascending id, and the cursor of the next one. One query."""
    if wanted.begins_after is not None:
        rows = rows.filter(pk__gt=wanted.begins_after)
    return _cut(list(rows.order_by("pk")[: wanted.limit + 1]), wanted)


def _cut(rows: Sequence[Any], wanted: PageQuery) -> tuple[list[Any], str | None]:
    page = list(rows[: wanted.limit])
    return page, str(page[-1].pk) if len(rows) > wanted.limit else None
