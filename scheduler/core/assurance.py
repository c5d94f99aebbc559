"""Assurance: how much checking a job buys."""

NONE = "none"
MAX_QUORUM = 5


class UnknownAssurance(ValueError):
    """The word names no assurance; accepted are none and quorum-2 to quorum-5."""


def executions(assurance: str) -> int:
    """How many executions of each task the member buys. Raises: UnknownAssurance."""
    if assurance == NONE:
        return 1
    kind, _, number = assurance.partition("-")
    if kind == "quorum" and number.isascii() and number.isdigit() and 2 <= int(number) <= MAX_QUORUM:
        return int(number)
    raise UnknownAssurance(f"found {assurance!r}; accepted are none and quorum-2 to quorum-{MAX_QUORUM}")
