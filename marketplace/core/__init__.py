"""The order book: pure and deterministic. No Django, clock, randomness or I/O in this package."""
