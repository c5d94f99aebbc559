"""The audit after a fault: waits until everything has come to rest, then asks for every invariant."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta

from tests.faults import arithmetic, books, labour, promises, waiting, workload
from tests.faults.database import Snapshot
from tests.faults.findings import Finding, differences
from tests.faults.grid import Grid
from tests.faults.journal import Journal

REST_SECONDS = 240.0
_UNFINISHED = """
SELECT 'job ' || id || ' is ' || state AS left FROM scheduler_job WHERE closed_at IS NULL
UNION ALL SELECT 'lease ' || id || ' is ' || state FROM marketplace_lease WHERE state <> 'CLOSED'
UNION ALL SELECT 'order ' || id || ' is ' || state FROM marketplace_order WHERE state = 'ACCEPTED'
UNION ALL SELECT 'input ' || id || ' waits' FROM marketplace_bookinput WHERE sequence IS NULL
"""


@dataclass
class Auditor:
    """Follows one grid from fault to fault."""

    grid: Grid
    journal: Journal = field(default_factory=Journal)
    cancelled: set[int] = field(default_factory=set)
    """Jobs that must have ended that way; all others must have ended well."""

    def rest(self) -> None:
        """Wait until no job, lease or order is under way. Raises: waiting.NeverHappened with what still is."""
        waiting.until(
            lambda: not self.grid.database.rows(_UNFINISHED),
            REST_SECONDS,
            "everything at rest",
            seen=lambda: [row["left"] for row in self.grid.database.rows(_UNFINISHED)],
        )

    def forgotten(self) -> list[Finding]:
        """Ask for every acknowledged write, at any time."""
        known = self._heard()
        with self._snapshot() as snapshot:
            return list(promises.check(snapshot, known))

    def audit(self, new: Iterable[workload.Job]) -> list[Finding]:
        """Check everything there is; results and bills of the `new` jobs as the member sees them."""
        known = self._heard()
        with self._snapshot() as snapshot:
            account = books.calculate(snapshot, self.grid.issued_micro)
            found = self.in_the_database(snapshot, account, self.journal)
            found += promises.check(snapshot, known)
        for job in new:
            found += self._as_seen_by_the_member(job, account.bills)
        return [*found, *self._books_by_command(), *self._agents()]

    def in_the_database(self, snapshot: Snapshot, account: books.Account, journal: Journal) -> list[Finding]:
        """What the tables of one instant show: work, money, market."""
        return [
            *labour.check(snapshot, self.cancelled),
            *books.check(snapshot, account),
            *journal.check(snapshot),
        ]

    def final(self) -> list[Finding]:
        """What is asked once, in the end: the whole journal replayed from its first event."""
        with self._snapshot() as snapshot:
            return list(self.journal.check_from_the_beginning(snapshot))

    def _heard(self) -> promises.Heard:
        return promises.heard(self.grid.record, self.grid.machines)

    def _snapshot(self) -> AbstractContextManager[Snapshot]:
        """One instant of a server that answers: it may have been away a moment ago."""
        self.grid.database.value("SELECT 1")
        return self.grid.database.snapshot()

    def _as_seen_by_the_member(self, job: workload.Job, bills: Mapping[int, books.Bill]) -> Iterator[Finding]:
        member = self.grid.member
        again = member.submit(dict(job.spec), job.key)
        yield from differences("same_key_same_job", f"job under key {job.key}", again, job.id)
        seen, bill = member.job(job.id), bills[job.id]
        total = bill.compute_micro + bill.royalty_micro
        shown, spec = seen["bill"], job.spec
        held = arithmetic.worst_case(
            tasks=len(job.expected),
            executions=2 if spec["assurance"] == "quorum-2" else 1,
            longest=timedelta(seconds=spec["max_seconds"]),
            limit_price_micro=spec["limit_price_micro"],
            royalty_micro=workload.ROYALTY_MICRO if spec["runner"] == "onnx" else 0,
        )
        expected = {
            "held_micro": held,
            "compute_micro": bill.compute_micro,
            "royalty_micro": bill.royalty_micro,
            "total_micro": total,
            "released_micro": held - total,
            "remaining_micro": 0,
            "assurance_paid_micro": bill.assurance_micro,
        }
        yield from differences("bill_equals_attempts", f"bill of job {job.id}", shown, expected)
        outputs = member.outputs(job.id)
        places = sorted(outputs.keys() ^ job.expected.keys())
        yield from differences("results_are_right", f"files missing or too many in job {job.id}", places, [])
        for place in outputs.keys() & job.expected.keys():
            if not workload.is_expected(outputs[place], job.expected[place]):
                yield Finding("results_are_right", f"job {job.id}, task {place[0]}: {outputs[place][:200]!r}")

    def _agents(self) -> Iterator[Finding]:
        for machine in self.grid.machines:
            if machine.has_ended():
                yield Finding("comes_back", f"the agent of {machine.name} ended by itself: {machine.last_lines()}")

    def _books_by_command(self) -> Iterator[Finding]:
        done = self.grid.run("manage.py", "check_ledger")
        if done.returncode:
            yield Finding("check_ledger_clean", f"code {done.returncode}: {done.stdout.strip()} {done.stderr.strip()}")
