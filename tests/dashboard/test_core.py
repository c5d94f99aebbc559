"""The pure parts: numbers as people read them, the cells of a strip, ledger addresses taken apart."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import money
from dashboard.core import places, quantities, strip


@given(st.integers(-(10**15), 10**15))
def test_the_parts_of_an_amount_lose_nothing(micro):
    sign, head, tail = quantities.credit_parts(micro)

    text = f"{sign}{head}{tail}".replace(quantities.MINUS, "-").replace(",", "")

    assert money.parse_credits(text) == micro


@given(st.integers(0, 10**15))
def test_a_price_reads_back_as_itself(micro):
    assert money.parse_credits(quantities.price(micro).replace(",", "")) == micro


def test_prices_have_two_decimals_or_as_many_as_they_need():
    assert [quantities.price(micro) for micro in (800_000, 1_000_000, 805_000, 1)] == [
        "0.80",
        "1.00",
        "0.805",
        "0.000001",
    ]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.25 s"),
        (59_999, "60.00 s"),
        (185_000, "3 min 05 s"),
        (7_800_000, "2 h 10 min"),
    ],
)
def test_durations_have_the_unit_that_fits(milliseconds, words):
    assert quantities.duration(milliseconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 40, "5.0 TiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_sizes_have_binary_units(count, words):
    assert quantities.size(count) == words


LETTERS = st.text(alphabet="frcwxa", max_size=500)


def _read(runs):
    """What the page's script makes of the runs."""
    return re.sub(r"(\d+)([a-z])", lambda found: found[2] * int(found[1]), runs)


@given(LETTERS)
def test_the_runs_of_a_strip_read_back_as_its_cells(letters):
    assert _read(strip.runs(strip.cells(letters))) == letters


@given(LETTERS)
def test_the_counts_of_a_strip_are_those_of_its_letters(letters):
    counts = strip.counts(letters)

    assert {strip.LETTERS[state]: number for state, number in counts.items()} == Counter(letters)


@pytest.mark.parametrize("total", [10_000, 10_001, 25_000, 1_000_000])
def test_very_many_tasks_share_cells_that_show_the_worst_of_them(total):
    letters = "a" * (total - 1) + "f"

    cells = strip.cells(letters)

    assert len(cells) <= strip.MAX_CELLS
    assert len(cells) == -(-total // strip.tasks_per_cell(total))
    assert cells == "a" * (len(cells) - 1) + "f"


def test_addresses_name_funds_members_and_holds():
    assert places.place("coop:7:treasury") == places.Place("treasury", 7)
    assert places.place("coop:7:member:12") == places.Place("member", 12)
    assert places.place("hold:job:42") == places.Place("job", 42)
    with pytest.raises(ValueError, match="not a ledger address"):
        places.place("no such")


def test_transfer_keys_name_what_they_are_about():
    assert places.subject("task:5:settle") == places.Place("task", 5)
    assert places.subject("job:7") == places.Place("job", 7)
    assert places.subject("issue:3") == places.Place("issue", 3)
    assert places.subject("send:4:0123") == places.Place("send", 4)
    assert places.subject("correction:3") is None
    assert places.subject("") is None
