"""Operators, a book, and a matcher that checks the tables after each tick."""

import pytest

from marketplace import services as market_services
from tests.marketplace import market


@pytest.fixture
def book(cooperative):
    return market_services.book_for(cooperative)


@pytest.fixture
def matcher(cooperative, book):
    return market.elect(cooperative)


@pytest.fixture
def tick(matcher, book):
    """Let the matcher take up all that came in, nodes included, and check the tables against its book."""

    def run():
        matcher._capacity_due = 0.0
        applied = matcher.tick()
        market.check(book, matcher._books[book.pk])
        return applied

    return run
