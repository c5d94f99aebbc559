"""What work costs: price per unit-hour times quantity times metered time, exact until settlement."""

from fractions import Fraction

from common import money

MS_PER_HOUR = 3_600_000
MILLI_PER_UNIT = 1000


def cost(*, price_micro: int, quantity_milli: int, ms: int) -> Fraction:
    """Exact micro-credits for `ms` milliseconds of `quantity_milli` milli-units at `price_micro` per unit-hour."""
    return Fraction(price_micro * quantity_milli * ms, MILLI_PER_UNIT * MS_PER_HOUR)


def worst_case(
    *, tasks: int, executions: int, max_seconds: int, limit_price_micro: int, quantity_milli: int, royalty_micro: int
) -> int:
    """The hold of a job: tasks x max seconds x limit price x executions bought + royalty x tasks.

    Rounded up for each execution, because settlement rounds each execution once.
    """
    execution = money.ceiling(cost(price_micro=limit_price_micro, quantity_milli=quantity_milli, ms=max_seconds * 1000))
    return tasks * (executions * execution + royalty_micro)
