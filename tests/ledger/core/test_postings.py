"""What may be written as a transfer, and what identifies it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from ledger.core import addresses, postings
from ledger.core.postings import Entry, NewTransfer

PLACES = st.sampled_from(["coop:1:issuance", "coop:1:treasury", "coop:1:member:1", "coop:2:member:9", "hold:job:3"])
ASSETS = st.sampled_from(["CREDIT", "EUR"])
AMOUNTS = st.integers(min_value=-(10**15), max_value=10**15).filter(bool)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@st.composite
def transfers(draw):
    """A balanced transfer: free entries, then one more for each asset that is not yet at zero."""
    entries = draw(st.lists(st.builds(Entry, PLACES, AMOUNTS, ASSETS), min_size=1, max_size=6))
    for asset, total in postings.totals(entries).items():
        if total or len(entries) == 1:
            entries.append(Entry(draw(PLACES), -total, asset))
    if len(entries) < 2:
        entries = [Entry("coop:1:issuance", -1), Entry("coop:1:treasury", 1)]
    return NewTransfer(draw(TEXT.filter(bool)), "TEST", tuple(entries), draw(TEXT))


@given(transfers())
def test_a_balanced_transfer_is_accepted_as_it_is(transfer):
    assert postings.check(transfer) is transfer


@given(transfers(), st.data())
def test_one_micro_more_or_less_anywhere_is_refused(transfer, data):
    place = data.draw(st.integers(0, len(transfer.entries) - 1))
    entries = list(transfer.entries)
    old = entries[place]
    entries[place] = Entry(old.address, old.amount_micro + (1 if old.amount_micro != -1 else -1), old.asset)

    with pytest.raises(postings.Unbalanced):
        postings.check(NewTransfer(transfer.key, transfer.kind, tuple(entries), transfer.reason))


def test_assets_do_not_balance_each_other():
    entries = (Entry("coop:1:treasury", -5, "CREDIT"), Entry("coop:1:reserve", 5, "EUR"))

    with pytest.raises(postings.Unbalanced, match="found a sum of -5 micro CREDIT"):
        postings.check(NewTransfer("k", "TEST", entries))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((), postings.BadTransfer),
        ((Entry("coop:1:treasury", 1),), postings.BadTransfer),
        ((Entry("coop:1:treasury", 0), Entry("coop:1:reserve", 0)), postings.BadTransfer),
        ((Entry("coop:1:treasury", True), Entry("coop:1:reserve", -1)), postings.BadTransfer),
        ((Entry("coop:1:treasury", 1.0), Entry("coop:1:reserve", -1)), postings.BadTransfer),
        ((Entry("coop:1:treasury", 2**63), Entry("coop:1:reserve", -(2**63))), postings.BadTransfer),
        ((Entry("coop:1:treasury", 1, "credit"), Entry("coop:1:reserve", -1, "credit")), postings.BadTransfer),
        ((Entry("coop:1:vault", 1), Entry("coop:1:reserve", -1)), addresses.BadAddress),
    ],
)
def test_malformed_entries_are_refused(bad, error):
    with pytest.raises(error) as refusal:
        postings.check(NewTransfer("k", "TEST", bad))

    assert isinstance(refusal.value, errors.Invalid)


@pytest.mark.parametrize(
    "texts",
    [("", "K", ""), ("k" * 201, "K", ""), ("k\0", "K", ""), ("k", "", ""), ("k", "K" * 41, ""), ("k", "K", "r" * 501)],
)
def test_texts_that_the_books_cannot_hold_are_refused(texts):
    key, kind, reason = texts
    entries = (Entry("coop:1:treasury", 1), Entry("coop:1:reserve", -1))

    with pytest.raises(postings.BadTransfer, match="are accepted"):
        postings.check(NewTransfer(key, kind, entries, reason))


@given(transfers(), st.randoms(use_true_random=False))
def test_the_order_of_entries_leaves_the_fingerprint_alone(transfer, random):
    shuffled = random.sample(transfer.entries, len(transfer.entries))
    other = NewTransfer(transfer.key, transfer.kind, tuple(shuffled), transfer.reason)

    assert postings.fingerprint(other) == postings.fingerprint(transfer)


@given(transfers())
def test_the_fingerprint_depends_on_everything_said(transfer):
    key, kind, entries, reason = transfer.key, transfer.kind, transfer.entries, transfer.reason
    others = [
        postings.fingerprint(NewTransfer(key + "x", kind, entries, reason)),
        postings.fingerprint(NewTransfer(key, kind + "x", entries, reason)),
        postings.fingerprint(NewTransfer(key, kind, entries, reason + "x")),
        postings.fingerprint(NewTransfer(key, kind, (*entries, entries[0]), reason)),
        postings.fingerprint(transfer, reverses="another"),
    ]

    assert len({postings.fingerprint(transfer), *others}) == 6


def test_text_without_unicode_form_is_refused():
    entries = (Entry("coop:1:treasury", 1), Entry("coop:1:reserve", -1))

    with pytest.raises(postings.BadTransfer, match="Unicode"):
        postings.fingerprint(NewTransfer("k", "TEST", entries, "\ud800"))


@given(transfers())
def test_a_transfer_and_its_mirror_move_nothing(transfer):
    mirror = NewTransfer("m", "REVERSAL", postings.mirrored(transfer.entries))

    assert postings.check(mirror)
    assert set(postings.net([transfer, mirror]).values()) == {0}


@given(transfers())
def test_watched_are_the_givers_that_may_not_owe(transfer):
    watched = postings.debited([transfer])

    givers = {entry.address for entry in transfer.entries if entry.amount_micro < 0}
    assert watched == givers - {"coop:1:issuance"}
