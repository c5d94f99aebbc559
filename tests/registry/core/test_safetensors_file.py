"""The header is believed only when every byte of the file is accounted for."""

import contextlib
import json

import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st

from registry.core import safetensors_file
from tests.registry import models

names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
tensors = st.dictionaries(
    names.filter(lambda name: name != safetensors_file.METADATA),
    st.sampled_from(sorted(safetensors_file.ELEMENT_BYTES)).flatmap(
        lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(lambda shape: (dtype, shape))
    ),
    min_size=1,
    max_size=5,
)


def parsed(data):
    length = safetensors_file.header_length(data, len(data))
    return safetensors_file.parse_header(data[8 : 8 + length], len(data))


def filled(plan):
    found = {}
    for name, (dtype, shape) in plan.items():
        count = safetensors_file.ELEMENT_BYTES[dtype]
        for size in shape:
            count *= size
        found[name] = (dtype, shape, bytes(count))
    return found


@given(tensors)
def test_every_well_formed_file_is_read_as_it_was_written(plan):
    entries = parsed(models.safetensors(filled(plan)))

    assert {entry.name: (entry.dtype, list(entry.shape)) for entry in entries} == plan


@given(tensors, st.data())
def test_what_we_accept_the_library_accepts(plan, data):
    whole = bytearray(models.safetensors(filled(plan)))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))

    try:
        entries = parsed(bytes(whole))
    except safetensors_file.SafetensorsRefused:
        return
    theirs = dict(safetensors.deserialize(bytes(whole)))
    assert {entry.name: list(entry.shape) for entry in entries} == {
        name: found["shape"] for name, found in theirs.items()
    }


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else_happens(data):
    with contextlib.suppress(safetensors_file.SafetensorsRefused):
        assert parsed(data)


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def with_header(document, data=bytes(4)):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return models.safetensors(header=text, data=data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "at least 8"),
        (b"1234567", "at least 8"),
        ((2**63).to_bytes(8, "little") + b"{}", "at most"),
        ((2**24 + 1).to_bytes(8, "little") + b"{}", "at most"),
        ((100).to_bytes(8, "little") + b"{}", "behind its length"),
        (with_header({}, b""), "no tensor"),
        (with_header(b"[]"), "does not begin with {"),
        (with_header(b" {}"), "does not begin with {"),
        (with_header(b"{"), "not strict JSON"),
        (with_header(b'{"a": ' + b"[" * 20_000), "not strict JSON"),
        (with_header(b'{"w": ' + json.dumps(ONE).encode() + b', "w": ' + json.dumps(ONE).encode() + b"}"), "twice"),
        (with_header(b'{"w": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}'), "NaN"),
        (with_header(b'{"w": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}'), "1.0"),
        (with_header({"w": ONE | {"shape": [True]}}), "shape"),
        (with_header({"w": ONE | {"shape": [-1]}}), "shape"),
        (with_header({"w": ONE | {"shape": [2**62, 2**62]}}), "shape"),
        (with_header({"w": ONE | {"shape": [2**40, 2**40]}}), "need"),
        (with_header({"w": ONE | {"dtype": "PICKLE"}}), "dtype"),
        (with_header({"w": ONE | {"data_offsets": [4, 0]}}), "ascending"),
        (with_header({"w": ONE | {"data_offsets": [0, 5]}}), "span"),
        (with_header({"w": ONE | {"more": 1}}), "other fields"),
        (with_header({"w": ONE | {"data_offsets": [4, 8]}}, bytes(8)), "no gaps"),
        (with_header({"w": ONE, "v": ONE}), "no gaps"),
        (with_header({"w": ONE}, bytes(5)), "cover"),
        (with_header({"w": ONE}, bytes(3)), "cover"),
        (with_header({"w\n": ONE}), "name"),
        (with_header({"w": ONE, "__metadata__": {"format": 1}}), "texts"),
        (with_header({"w": ONE, "__metadata__": []}), "texts"),
    ],
)
def test_a_crooked_file_is_refused_with_what_was_found(data, words):
    with pytest.raises(safetensors_file.SafetensorsRefused, match=words.replace("{", r"\{")):
        parsed(data)
