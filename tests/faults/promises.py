"""Promises: whatever the platform acknowledged, to the member or to an agent, is there, and there once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.database import Snapshot
from tests.faults.findings import Finding
from tests.faults.machines import Machine
from tests.faults.record import Acknowledged, Record


@dataclass(frozen=True)
class Heard:
    """What had been acknowledged at one moment; it must be in the database at every later one."""

    promises: Sequence[Acknowledged]
    delivered: Mapping[str, set[int]]
    """Machine -> attempts whose results were acknowledged to it."""

    def of(self, kind: str) -> list[Acknowledged]:
        """The promises of one kind."""
        return [promise for promise in self.promises if promise.kind == kind]


def heard(record: Record, machines: Iterable[Machine]) -> Heard:
    """Everything acknowledged until now; ask before the snapshot is taken."""
    return Heard(record.promises(), {machine.name: machine.delivered() for machine in machines})


def check(snapshot: Snapshot, known: Heard) -> Iterator[Finding]:
    """Ask for every acknowledged submission, cancel, file and result."""
    rows = snapshot.rows("SELECT id, idempotency_key AS key, state FROM scheduler_job")
    by_key = Counter(row["key"] for row in rows)
    jobs = {row["id"]: row for row in rows}
    for promise in known.of("job"):
        job = jobs.get(promise.number)
        if job is None or job["key"] != promise.key:
            yield Finding("acknowledged_write_exists", f"job {promise.number} under key {promise.key} is gone")
        if by_key[promise.key] > 1:
            yield Finding("same_key_same_job", f"key {promise.key} made {by_key[promise.key]} jobs")
    for promise in known.of("cancel"):
        job = jobs.get(promise.number)
        if job is None or job["state"] != "CANCELLED":
            yield Finding("acknowledged_write_exists", f"the cancel of job {promise.number} is gone")
    stored = {row["digest"] for row in snapshot.rows("SELECT digest FROM registry_blob")}
    for promise in known.of("blob"):
        if promise.key not in stored:
            yield Finding("acknowledged_write_exists", f"file {promise.key} is gone")
    with_result = {row["id"] for row in snapshot.rows("SELECT id FROM scheduler_attempt WHERE receipt IS NOT NULL")}
    for name, attempts in known.delivered.items():
        for attempt_id in sorted(attempts - with_result):
            yield Finding("acknowledged_write_exists", f"the result of attempt {attempt_id} by {name} is gone")
