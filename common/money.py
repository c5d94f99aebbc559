"""Credits as integer micro-credits. 1 credit = 1 000 000 micro. No float comes near them."""

import re
from decimal import Decimal
from fractions import Fraction

MICRO = 1_000_000
BASIS_POINTS = 10_000
CREDIT = "CREDIT"
_AMOUNT = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,12})(?:[.,](?P<fraction>[0-9]{1,6}))?")


class NotAnAmount(ValueError):
    """The text is not an amount of credits with at most six decimals."""


def parse_credits(text: str) -> int:
    """Credits as written by a person ("12.5") to micro-credits. Raises: NotAnAmount."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise NotAnAmount(f"found {text[:40]!r}; accepted is a number such as 12.5, with at most six decimals")
    sign, whole, fraction = found["sign"], found["whole"], found["fraction"] or ""
    micro = int(whole) * MICRO + int(fraction.ljust(6, "0"))
    return -micro if sign else micro


def format_credits(micro: int, places: int = 6) -> str:
    """Micro-credits as credits with `places` decimals (0 to 6), rounded half even for display only."""
    return f"{Decimal(micro).scaleb(-6):,.{places}f}"


def shortest_credits(micro: int) -> str:
    """Micro-credits as credits with two decimals, or as many as it takes to lose nothing."""
    whole, _, decimals = format_credits(micro).partition(".")
    return f"{whole}.{decimals.rstrip('0'):<02}"


def round_half_up(amount: Fraction) -> int:
    """The one rounding of an exact amount, at settlement: half a micro-credit goes up."""
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def ceiling(amount: Fraction) -> int:
    """The least whole micro-credit that covers `amount`; used for holds."""
    return -(-amount.numerator // amount.denominator)
