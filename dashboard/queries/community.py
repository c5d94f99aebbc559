"""What the members brought in and how the treasury did: what charts of the cooperative's page show."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts import queries as accounts
from accounts.core import policy
from accounts.models import Membership
from dashboard.core import charts
from dashboard.queries.viewer import Viewer
from ledger import queries as ledger
from reputation import queries as reputation
from reputation.core.evidence import NEWCOMER_MICRO

DAYS = 30
MOST_MEMBERS = 20
UNIT_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Day:
    """The treasury at the end of a day, or now, and what the day changed."""

    began_at: datetime
    balance_micro: int
    change_micro: int


@dataclass(frozen=True)
class Treasury:
    """The last DAYS days, the earliest first; none where nothing ever came in."""

    days: list[Day]
    rules: policy.Rules
    path: str
    most_micro: int

    @property
    def change_micro(self) -> int:
        """What the days changed together."""
        return sum(day.change_micro for day in self.days)


def treasury(viewer: Viewer) -> Treasury:
    """The treasury's balance by day. Two queries."""
    mornings = [viewer.day_began_at - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    rules = accounts.current_policy(viewer.cooperative_id)[1]
    address = accounts.funds(viewer.cooperative_id)["treasury"]
    found = ledger.balances_by_time(address, [*mornings, viewer.now])
    balances = [balance for _at, balance in found]
    days = [
        Day(began_at, after, after - before)
        for began_at, before, after in zip(mornings, balances, balances[1:], strict=False)
    ]
    most = max((day.balance_micro for day in days), default=0)
    return Treasury(days, rules, charts.area([day.balance_micro for day in days], most), most)


@dataclass(frozen=True)
class Contributor:
    """One line of the chart: who, what for, how long the bar is; the score of their nodes."""

    membership: Membership
    core_hours_milli: int
    model_tasks: int
    earned_micro: int
    length: int
    score_micro: int | None


@dataclass(frozen=True)
class Contributions:
    """Who brought in most within the last DAYS days; whether there were more than the lines show."""

    lines: list[Contributor]
    are_more: bool
    newcomer_micro: int = NEWCOMER_MICRO


def contributions(viewer: Viewer) -> Contributions:
    """What the members' machines and models brought in. Three queries."""
    since = viewer.now - timedelta(days=DAYS)
    rows = reputation.contributed(viewer.cooperative_id, since, MOST_MEMBERS + 1)
    scores = reputation.operators_correctness(viewer.cooperative_id, viewer.now)
    shown = rows[:MOST_MEMBERS]
    lengths = charts.lengths([row.earned_micro for row in shown])
    lines = [
        Contributor(
            membership=row.membership,
            core_hours_milli=1000 * row.compute_ms // UNIT_HOUR_MS,
            model_tasks=row.model_tasks,
            earned_micro=row.earned_micro,
            length=length,
            score_micro=scores.get(row.membership.pk),
        )
        for row, length in zip(shown, lengths, strict=True)
    ]
    return Contributions(lines, len(rows) > MOST_MEMBERS)
