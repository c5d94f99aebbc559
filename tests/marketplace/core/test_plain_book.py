"""The plain book under the tests that every book must pass."""

from hypothesis import settings

from marketplace.core.plain_book import PlainBook
from tests.marketplace.core.book_contract import BookContract
from tests.marketplace.core.book_machine import machine_for


class TestPlainBook(BookContract):
    book_class = PlainBook


class TestPlainBookOnRandomDays(machine_for(PlainBook).TestCase):
    settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
