"""Connections of the anchors: psycopg with prepared statements and nothing in between."""

import functools

import psycopg

from config import embedded


@functools.cache
def connection(_number: int) -> psycopg.Connection:
    """This client's own connection; each statement is durable when it returns."""
    arguments = embedded.endpoints().postgres.psycopg()
    return psycopg.connect(**arguments, autocommit=True, prepare_threshold=1)  # type: ignore[arg-type]


def execute(*statements: str) -> None:
    """Do these once, from the parent."""
    with psycopg.connect(**embedded.endpoints().postgres.psycopg(), autocommit=True) as opened:  # type: ignore[arg-type]
        for statement in statements:
            opened.execute(statement)
