"""Dividing an amount among parties so that not one micro-credit is lost."""

from collections.abc import Mapping

from common import errors
from common.words import said as _


class NotDivisible(errors.Invalid):
    """The amount or the weights allow no division."""

    code = "not_divisible"
    title = _("This amount cannot be divided like that")


def split(amount_micro: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide `amount_micro` in proportion to `weights` (such as basis points) by largest remainder.

    Every party is in the answer; the parts are never negative and sum exactly to the amount. Each part
    is the exact quota rounded down or up. Equal remainders are decided by the names of the parties, so
    the order of the mapping does not matter. Raises: NotDivisible.
    """
    total = sum(weights.values())
    if amount_micro < 0 or total <= 0 or min(weights.values()) < 0:
        raise NotDivisible(
            f"found {amount_micro} micro for weights {dict(weights)}; accepted are an amount of at least 0 "
            "and weights of at least 0 that are not all 0"
        )
    parts = {name: amount_micro * weight // total for name, weight in weights.items()}
    left_over = amount_micro - sum(parts.values())
    by_remainder = sorted(weights, key=lambda name: (-(amount_micro * weights[name] % total), name))
    for name in by_remainder[:left_over]:
        parts[name] += 1
    return parts
