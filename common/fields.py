"""Column types that Django lacks."""

from django.db import models


class Xid8Field(models.Field):  # type: ignore[type-arg]
    """PostgreSQL's 64-bit transaction id; filled by the database, never written from Python."""

    def db_type(self, connection: object) -> str:
        return "xid8"
