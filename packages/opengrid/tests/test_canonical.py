"""Canonical JSON: one document has one spelling, and only that spelling is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengrid import canonical, digests

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_document_reads_back_as_it_was_written(value: Any) -> None:
    assert canonical.parse_canonical(canonical.canonical_bytes(value)) == value


@given(st.dictionaries(TEXT, INTEGERS, min_size=2, max_size=6), st.randoms())
def test_the_order_of_insertion_does_not_show(document: dict[str, int], random: Any) -> None:
    shuffled = list(document.items())
    random.shuffle(shuffled)

    assert canonical.canonical_bytes(dict(shuffled)) == canonical.canonical_bytes(document)


@given(VALUES)
def test_any_other_spelling_of_a_document_is_refused(value: Any) -> None:
    data = canonical.canonical_bytes(value)

    for other in (
        b" " + data,
        data + b"\n",
        b"\xef\xbb\xbf" + data,
        data.decode().encode("utf-16"),
    ):
        with pytest.raises(canonical.NotCanonical):
            canonical.parse_canonical(other)


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    document = {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "1": 4, "\r": 5, "\u00f6": 6, "\x80": 7}

    found = canonical.canonical_bytes(document).decode()

    assert list(json.loads(found)) == [
        "\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # RFC 8785, 3.2.3  # fmt: skip


def test_control_characters_are_escaped_as_rfc_8785_says() -> None:
    found = canonical.canonical_bytes('\b\t\n\f\r\x0f\x7f"\\/\u2028€')

    assert found == '"\\b\\t\\n\\f\\r\\u000f\x7f\\"\\\\/\u2028€"'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b"-0",
        b"1.0",
        b"1e3",
        b"NaN",
        b"9223372036854775808",
        pytest.param(b"1" * 5000, id="long"),
        b'"\\u0041"',
        b'"\\ud800"',
        b'"\xff"',
        pytest.param(b"[" * 100_000, id="deep"),
        b"[" * 66 + b"]" * 66,
        b"",
        b"{",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(canonical.NotCanonical):
        canonical.parse_canonical(data)


def test_values_without_a_canonical_form_are_refused() -> None:
    for value in (1.5, {1: 2}, b"x", {"a": {1}}, 2**63, 10**5000, "\ud800", float("nan")):
        with pytest.raises(canonical.NotCanonical):
            canonical.canonical_bytes(value)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_a_stream_has_the_digest_of_its_bytes(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)

    assert digests.of_chunks(chunks) == (digests.of_bytes(whole), len(whole))
    assert digests.is_digest(digests.of_bytes(whole))
    assert not digests.is_digest(digests.of_bytes(whole) + "\n")
