"""How a job is split into tasks: one per input file, or one per run of rows of an array."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Rows [start, stop) of one input."""

    start: int
    stop: int


def shards(rows: int, rows_per_task: int) -> Iterator[Shard]:
    """Cut `rows` into runs of `rows_per_task`; the last may be shorter."""
    for start in range(0, rows, rows_per_task):
        yield Shard(start, min(start + rows_per_task, rows))


def count(rows: int, rows_per_task: int) -> int:
    """How many shards `rows` make."""
    return -(-rows // rows_per_task)
