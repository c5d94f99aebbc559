"""Rows as people write them become the array that a model takes, or a refusal that says what it takes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.core import plot, rows
from opengrid import npy

numbers = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=20))
def test_csv_json_and_npy_say_the_same(table):
    array = np.array(table, dtype=np.float32)
    written = "\n".join(",".join(repr(float(value)) for value in row) for row in table)

    for found in (
        rows.from_text(written, (-1, 3)),
        rows.from_text(json.dumps([[float(value) for value in row] for row in table]), (-1, 3)),
        rows.from_file("rows.npy", npy.dump(array), (-1, 3)),
    ):
        np.testing.assert_array_equal(found, array)


@given(st.text(max_size=200))
def test_any_text_is_rows_or_a_refusal(text):
    try:
        found = rows.from_text(text, (-1, 2))
    except rows.RowsRefused:
        return
    assert found.shape[1:] == (2,)
    assert found.dtype == np.float32


@given(st.binary(max_size=200))
def test_any_file_is_rows_or_a_refusal(data):
    for start in (b"", npy.MAGIC):
        try:
            found = rows.from_file("x", start + data, (-1,))
        except rows.RowsRefused:
            continue
        assert found.ndim == 1


def test_headings_semicolons_and_nested_lists_are_understood():
    assert rows.from_text("a;b\n1;2\n", (-1, 2)).tolist() == [[1, 2]]
    assert rows.from_text("[[[1, 2], [3, 4]]]", (-1, 2, 2)).tolist() == [[[1, 2], [3, 4]]]
    assert rows.from_text("[1, 2]", (-1, 2)).tolist() == [[1, 2]]
    assert rows.from_text("1,2,3,4", (-1, 2, 2)).tolist() == [[[1, 2], [3, 4]]]
    assert rows.from_text("5\n6", (-1,)).tolist() == [5, 6]


@pytest.mark.parametrize("text", ["1,inf", "1,nan", "[[1, 1e999]]", "[[true, 1]]", "[", "1,2\n" * 1001, "[]"])
def test_what_is_no_finite_number_is_refused(text):
    with pytest.raises(rows.RowsRefused):
        rows.from_text(text, (-1, 2))


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_bars_stay_within_the_drawing(values):
    for bar, value in zip(plot.bars(values, [""] * len(values)), values, strict=True):
        assert bar.y + bar.height == plot.HEIGHT
        assert (bar.height > 0) == (value > 0)
        assert 0 <= bar.y <= plot.HEIGHT
