"""Reads the platform's PostgreSQL from outside, also while that server is being killed."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

OUTAGE_SECONDS = 60.0
RETRY_SECONDS = 0.05
Row = dict[str, Any]


class Snapshot:
    """All that was committed at one instant."""

    def __init__(self, connection: "psycopg.Connection[Row]") -> None:
        self._connection = connection

    def rows(self, query: str, *arguments: object) -> list[Row]:
        """The rows of a query."""
        return self._connection.execute(query, arguments).fetchall()

    def value(self, query: str, *arguments: object) -> Any:
        """The only column of the only row."""
        (row,) = self.rows(query, *arguments)
        (value,) = row.values()
        return value


class Database:
    """Answers questions with a connection that is made anew when the server was away."""

    def __init__(self, arguments: dict[str, str | int]) -> None:
        self._arguments = arguments
        self._connection: psycopg.Connection[Row] | None = None

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A read-only transaction in which every query sees the same instant. Raises: psycopg.OperationalError."""
        connection = self._connect()
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield Snapshot(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            raise

    def rows(self, query: str, *arguments: object) -> list[Row]:
        """The rows of a query; waits up to OUTAGE_SECONDS for a server that is away."""
        deadline = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                with self.snapshot() as snapshot:
                    return snapshot.rows(query, *arguments)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)

    def value(self, query: str, *arguments: object) -> Any:
        """The only column of the only row; waits as `rows`."""
        (row,) = self.rows(query, *arguments)
        (value,) = row.values()
        return value

    def ids(self, query: str, *arguments: object) -> Sequence[int]:
        """The first column of a query."""
        return [next(iter(row.values())) for row in self.rows(query, *arguments)]

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> "psycopg.Connection[Row]":
        if self._connection is None or self._connection.closed:
            arguments: dict[str, Any] = {**self._arguments, "connect_timeout": 5}
            self._connection = psycopg.connect(**arguments, row_factory=dict_row, autocommit=True)
        return self._connection
