"""The only clock of the platform is the database's."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Time of the current transaction (or statement outside one) by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment
