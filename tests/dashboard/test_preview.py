"""What a result file shows of itself, and what it never becomes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.core import preview
from opengrid import npy

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def shown(name, body, size=None):
    return preview.of_file(name, body, len(body) if size is None else size)


def test_a_matrix_is_a_table_with_numbered_rows_and_columns():
    found = shown("p.npy", npy.dump(np.asarray([[0.25, 1.0], [0.5, 2.0]], dtype=np.float32)))

    assert (found.kind, found.about) == ("table", "float32 2 × 2")
    assert found.head == ("", "0", "1")
    assert found.rows == [("0", "0.25", "1"), ("1", "0.5", "2")]
    assert not found.is_cut


def test_a_large_matrix_is_cut_and_says_so():
    found = shown("p.npy", npy.dump(np.zeros((60, 30), dtype=np.int64)))

    assert (len(found.rows), len(found.rows[0])) == (preview.TABLE_ROWS, preview.TABLE_COLUMNS + 1)
    assert found.is_cut


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 2, 2), ()])
def test_arrays_of_any_shape_have_a_preview_or_none(shape):
    found = shown("p.npy", npy.dump(np.zeros(shape, dtype=np.float64)))

    assert found.kind == ("table" if len(shape) in (1, 2) else "none")
    assert found.about.startswith("float64")


def test_an_array_too_large_to_read_is_described_by_its_header():
    body = npy.dump(np.zeros((100, 100), dtype=np.float64))

    assert shown("p.npy", body[:1000], len(body)) == preview.Preview("none", "float64 100 × 100")


def test_a_csv_is_a_table_without_its_last_half_line_when_cut():
    assert shown("a.csv", b"name,n\nx,1\n").rows == [["x", "1"]]
    cut = shown("a.csv", b"name,n\nx,1\ny,", 1000)
    assert (cut.rows, cut.is_cut) == ([["x", "1"]], True)


def test_a_json_document_is_laid_out():
    found = shown("a.json", json.dumps({"b": [1], "a": "ü"}).encode())

    assert (found.kind, found.text) == ("text", '{\n  "b": [\n    1\n  ],\n  "a": "ü"\n}')


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.xml", "a.txt"])
def test_what_a_browser_would_run_is_text(name):
    found = shown(name, b"<svg onload=alert(1)>")

    assert (found.kind, found.text) == ("text", "<svg onload=alert(1)>")


def test_an_image_is_known_by_its_first_bytes_and_never_by_its_name():
    assert shown("a.txt", PNG).kind == "image"
    assert shown("a.png", b"<svg onload=alert(1)>").kind == "none"
    assert shown("a.png", PNG, preview.IMAGE_BYTES + 1).kind == "none"


@given(st.sampled_from(["npy", "csv", "json", "txt", "bin"]), st.binary(max_size=300), st.booleans())
def test_hostile_bytes_have_a_preview_or_none(kind, body, is_cut):
    found = shown(f"a.{kind}", body, len(body) + is_cut)

    assert found.kind in ("table", "text", "image", "none")


def test_deeply_nested_json_is_shown_as_it_is():
    assert shown("a.json", b"[" * 100_000).text == "[" * preview.TEXT_LETTERS
