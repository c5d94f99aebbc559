"""The matcher itself: one per pool, fenced, and never ahead of its tables."""

import threading

import pytest
from django.db import connection, transaction

from marketplace import matcher as matchers
from marketplace import services as market_services
from marketplace.core.plain_book import PlainBook
from marketplace.models import BookSnapshot, JournalEvent, Lease, Order, Pool, Trade
from tests.marketplace import market


def in_another_session(act):
    """Do `act` with a database connection of its own; returns its result."""
    found = []

    def run():
        try:
            found.append(act())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert found, "the other session did not answer"
    return found[0]


def release(pool):
    """Give the election lock back, as the end of the matcher's session does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [matchers.LOCK_CLASS, pool.pk])
        assert cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_second_matcher_cannot_be_elected_while_the_first_lives(cooperative):
    first = market.elect(cooperative)

    assert in_another_session(lambda: matchers.PoolMatcher.elect(first.pool)) is None

    assert Pool.objects.get(pk=first.pool.pk).matcher_epoch == first.epoch
    release(first.pool)


@pytest.mark.django_db(transaction=True)
def test_after_the_first_has_gone_the_next_has_a_higher_epoch(cooperative):
    first = market.elect(cooperative)
    release(first.pool)

    second = market.elect(cooperative)

    assert second.epoch == first.epoch + 1
    release(first.pool)


def test_a_deposed_matcher_writes_nothing(alice, olga, cooperative, book):
    old = market.elect(cooperative)
    old.tick()
    new = market.elect(cooperative)  # as after the old one's session was lost
    market.offer(market.a_node(olga))
    bid = market.buy(alice)

    with pytest.raises(matchers.Deposed), transaction.atomic():
        old.tick()

    assert not JournalEvent.objects.exists()
    assert market.state_of(bid)[0] == "ACCEPTED"
    assert new.tick() == 3
    assert market.state_of(bid)[0] == "FILLED"
    assert set(JournalEvent.objects.values_list("epoch", flat=True)) == {new.epoch}


def test_a_matcher_that_was_deposed_learns_it_even_when_nothing_comes_in(cooperative, book):
    old = market.elect(cooperative)
    market.elect(cooperative)
    old._progress_due = 0.0

    with pytest.raises(matchers.Deposed), transaction.atomic():
        old.tick()


def test_a_tick_that_fails_leaves_the_tables_as_they_were_and_the_next_one_repeats_it(
    alice, olga, matcher, tick, book, monkeypatch
):
    market.offer(market.a_node(olga))
    tick()
    bid = market.buy(alice, 2)

    def breaks(*_):
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(matchers.writing, "_project", breaks)
        with pytest.raises(RuntimeError), transaction.atomic():
            matcher.tick()
    assert market.state_of(bid)[0] == "ACCEPTED"
    assert not Trade.objects.exists()
    assert JournalEvent.objects.count() == 2

    tick()

    assert market.state_of(bid)[0] == "FILLED"
    assert Lease.objects.get().lots == 2


def test_a_fresh_matcher_goes_on_where_the_last_one_stopped(alice, olga, cooperative, book, tick):
    market.offer(market.a_node(olga))
    market.buy(alice, 2)
    tick()

    fresh = market.elect(cooperative)
    bid = market.buy(alice, 2)
    fresh.tick()

    market.check(book, fresh._books[book.pk])
    assert market.state_of(bid)[0] == "FILLED"


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_a_snapshot_and_the_tail_after_it_are_the_whole_journal(alice, olga, tick, book, monkeypatch, every):
    monkeypatch.setattr(matchers.writing, "SNAPSHOT_EVERY", every)
    market.offer(market.a_node(olga))
    for number in range(5):
        market.buy(alice, 1, 9 + number)
        tick()

    assert BookSnapshot.objects.filter(book=book).exists()
    newest = BookSnapshot.objects.filter(book=book).order_by("-sequence").first()
    restored = PlainBook.restore(newest.state)
    assert (restored.sequence, restored.state_hash()) == (newest.sequence, newest.state_hash)
    assert matchers.load(book).state_hash() == market.replayed(book).state_hash()


def test_the_journal_cannot_be_rewritten(alice, tick):
    market.buy(alice)
    tick()

    for change in ("UPDATE marketplace_journalevent SET epoch = 9", "DELETE FROM marketplace_journalevent"):
        with pytest.raises(Exception, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


def test_progress_is_written_while_nothing_happens(cooperative, book, matcher):
    Pool.objects.update(matcher_progress_at=None)

    matcher.tick()

    assert Pool.objects.get(pk=book.pool_id).matcher_progress_at is not None


def test_many_orders_are_taken_up_in_their_order_over_several_ticks(alice, tick, monkeypatch):
    monkeypatch.setattr(matchers.intake, "INTAKE_LIMIT", 3)
    orders = [market.buy(alice, 1, 9) for _ in range(8)]

    assert [tick(), tick(), tick(), tick()] == [3, 3, 2, 0]

    sequences = [Order.objects.get(pk=order.pk).sequence for order in orders]
    assert sequences == sorted(sequences)


def test_a_pool_is_opened_once(cooperative):
    assert market_services.pool_of(cooperative) == market_services.pool_of(cooperative)
    assert market_services.book_for(cooperative).pool == market_services.pool_of(cooperative)
