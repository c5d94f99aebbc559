"""The quantile of the Beta distribution in pure Python, equal on every platform.

Sums, products and quotients of floats are the same IEEE 754 everywhere; logarithm, exponential and
gamma are not, so these are taken from the decimal module, which rounds them correctly.
"""

import math
from decimal import Context, Decimal, localcontext
from typing import Final

_DIGITS: Final = 40
_CONTEXT: Final = Context(prec=_DIGITS)
_HALF_LN_2PI: Final = Decimal("0.9189385332046727417803297364056176398613974736377834")
_STIRLING_FROM: Final = 20
_STIRLING: Final = tuple(
    Decimal(numerator) / Decimal(denominator)
    for numerator, denominator in (
        (1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156),
        (-3617, 122400), (43867, 244188), (-174611, 125400),
    )
)  # fmt: skip
"""B(2k) / (2k (2k-1)), k = 1..10 (NIST DLMF 5.11.1); from z = 20 on the error is below 1e-26."""

_TINY: Final = 1e-300
_FRACTION_STEPS: Final = 1_000_000
_SOLVER_STEPS: Final = 400


def log_gamma(z: Decimal) -> Decimal:
    """ln Gamma(z) for z > 0 by Stirling's series, after shifting z upwards."""
    with localcontext(_CONTEXT):
        shift = Decimal(1)
        while z < _STIRLING_FROM:
            shift *= z
            z += 1
        series, power, square = Decimal(0), z, z * z
        for coefficient in _STIRLING:
            series += coefficient / power
            power *= square
        return (z - Decimal("0.5")) * z.ln() - z + _HALF_LN_2PI + series - shift.ln()


def log_beta(a: float, b: float) -> Decimal:
    """ln B(a, b) of the Beta function for a, b > 0."""
    first, second = Decimal(a), Decimal(b)
    with localcontext(_CONTEXT):
        return log_gamma(first) + log_gamma(second) - log_gamma(first + second)


def distribution(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1, a and b > 0."""
    if not 0.0 < x < 1.0:
        return 0.0 if x <= 0.0 else 1.0
    return _distribution(a, b, x, _front(a, b, x, log_beta(a, b)))


def quantile(a: float, b: float, probability: float) -> float:
    """The x with I_x(a, b) = probability, for a, b >= 1 and 0 < probability < 1.

    Newton's method inside a bracket that always holds the root; where a step would leave the
    bracket it is halved instead. Accurate to about 1e-12 for parameters up to 1e6.
    Raises: ValueError.
    """
    if not (1.0 <= a < math.inf and 1.0 <= b < math.inf and 0.0 < probability < 1.0):
        raise ValueError(f"no quantile for a={a}, b={b}, probability={probability}")
    log_ab = log_beta(a, b)
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(_SOLVER_STEPS):
        front = _front(a, b, x, log_ab)
        excess = _distribution(a, b, x, front) - probability
        if excess > 0.0:
            high = x
        else:
            low = x
        density = front / (x * (1.0 - x))
        step = x - excess / density if density > 0.0 else low
        if not low < step < high:
            step = (low + high) / 2.0
        if abs(step - x) <= 1e-14 * x or step in (low, high):
            return step
        x = step
    raise ArithmeticError(f"no quantile found for a={a}, b={b}")


def _front(a: float, b: float, x: float, log_ab: Decimal) -> float:
    """x**a (1-x)**b / B(a, b)."""
    exact = Decimal(x)
    with localcontext(_CONTEXT):
        return float((Decimal(a) * exact.ln() + Decimal(b) * (1 - exact).ln() - log_ab).exp())


def _distribution(a: float, b: float, x: float, front: float) -> float:
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b) (NIST DLMF 8.17.22) by the modified method of Lentz."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _FRACTION_STEPS):
        twice = a + 2 * m
        even = m * (b - m) * x / ((twice - 1.0) * twice)
        odd = -(a + m) * (a + b + m) * x / (twice * (twice + 1.0))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            return value
    raise ArithmeticError(f"the continued fraction did not settle for a={a}, b={b}, x={x}")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
