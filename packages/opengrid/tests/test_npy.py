"""Files in .npy form: numpy's are read, hostile ones are refused with a code and nothing else."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from numpy.lib import format as numpy_format

from opengrid import npy

dtypes = st.sampled_from([np.dtype(descr) for descr in npy.DTYPES])
arrays = hypothesis_numpy.arrays(dtypes, hypothesis_numpy.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5))
tables = hypothesis_numpy.arrays(dtypes, hypothesis_numpy.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7))


def saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def with_header(text: str, data: bytes = b"", version: int = 1) -> bytes:
    body = text.encode("latin-1")
    size = len(body).to_bytes(2 if version == 1 else 4, "little")
    return npy.MAGIC + bytes((version, 0)) + size + body + data


def code_of(data: bytes) -> str:
    with pytest.raises(npy.NpyRefused) as refused:
        npy.load(data)
    return refused.value.code


@given(arrays)
def test_what_numpy_saves_is_read_and_written_alike(array: npy.AnyArray) -> None:
    data = saved(array)

    found = npy.load(data)

    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable
    assert found.flags.aligned
    assert npy.dump(array) == data


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_three_versions_are_read(version: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    numpy_format.write_array(buffer, np.arange(12.0).reshape(3, 4), version=version)

    assert npy.load(buffer.getvalue()).tolist() == np.arange(12.0).reshape(3, 4).tolist()


@given(tables, st.data(), st.integers(1, 50))
def test_a_slice_of_rows_is_a_file_of_those_rows(array: npy.AnyArray, data: st.DataObject, chunk_bytes: int) -> None:
    start = data.draw(st.integers(0, len(array) - 1))
    stop = data.draw(st.integers(start + 1, len(array)))
    file = io.BytesIO(saved(array))
    header = npy.read_header(file)

    chunks = list(npy.slice_rows(file, header, start, stop, chunk_bytes))

    found = b"".join(chunks)
    assert found == saved(array[start:stop])
    assert len(found) == npy.slice_size_bytes(header, start, stop)
    assert all(0 < len(chunk) <= chunk_bytes for chunk in chunks[1:])


def test_a_file_larger_than_a_chunk_is_sliced_from_disk(tmp_path: Path) -> None:
    array = np.arange(600_000, dtype=np.float32).reshape(30_000, 20)
    np.save(tmp_path / "a.npy", array)

    with open(tmp_path / "a.npy", "rb") as file:
        header = npy.read_header(file)
        found = npy.load(b"".join(npy.slice_rows(file, header, 7, 29_000)))

    assert (header.dtype_name, header.rows, header.data_bytes) == ("float32", 30_000, 2_400_000)
    assert np.array_equal(found, array[7:29_000])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 4), (2, 2), (2, 1), (3, 4)])
def test_rows_that_are_not_there_are_refused(start: int, stop: int) -> None:
    file = io.BytesIO(saved(np.zeros((3, 2))))
    header = npy.read_header(file)

    for attempt in (npy.slice_size_bytes, lambda *rows: npy.slice_rows(file, *rows)):
        with pytest.raises(npy.NpyRefused) as refused:
            attempt(header, start, stop)
        assert refused.value.code == "npy_rows"


def test_a_scalar_has_no_rows() -> None:
    header = npy.parse_header(saved(np.float32(1)))

    with pytest.raises(npy.NpyRefused) as refused:
        _ = header.rows
    assert refused.value.code == "npy_no_rows"


def test_a_file_that_shrinks_while_it_is_cut_is_noticed() -> None:
    whole = saved(np.zeros((100, 10)))
    header = npy.parse_header(whole)

    with pytest.raises(npy.NpyRefused) as refused:
        list(npy.slice_rows(io.BytesIO(whole[:-1]), header, 50, 100))
    assert refused.value.code == "npy_truncated"


@pytest.mark.parametrize("change", [b"x", None])
def test_a_byte_more_or_less_is_refused(change: bytes | None) -> None:
    whole = saved(np.arange(5))
    data = whole[:-1] if change is None else whole + change

    assert code_of(data) == "npy_size"
    with pytest.raises(npy.NpyRefused):
        npy.read_header(io.BytesIO(data))


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1 + 2j]),
        np.array([1.0], dtype=">f4"),
        np.array([1], dtype=">i8"),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([1.0], dtype=np.longdouble),
        np.array([b"abcd"], dtype="V4"),
    ],
)
def test_other_element_types_are_refused(array: Any) -> None:
    code = code_of(saved(array))

    assert code in ("npy_dtype", "npy_header")  # a record's description is not one text


def test_pickled_objects_are_refused_unread() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": print}], dtype=object), allow_pickle=True)

    assert code_of(buffer.getvalue()) == "npy_dtype"
    with pytest.raises(npy.NpyRefused):
        npy.dump(np.array([object()]))


def test_fortran_order_is_refused_with_the_remedy() -> None:
    with pytest.raises(npy.NpyRefused, match="ascontiguousarray") as refused:
        npy.load(saved(np.asfortranarray(np.zeros((2, 3)))))
    assert refused.value.code == "npy_fortran_order"


def test_dump_turns_any_order_of_bytes_and_axes_into_the_plain_one() -> None:
    array = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))

    assert npy.dump(array) == saved(np.arange(6, dtype="<f4").reshape(2, 3))


def test_a_boolean_that_is_neither_is_refused() -> None:
    assert code_of(saved(np.array([True, False]))[:-1] + b"\x02") == "npy_data"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}x\n", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': False}\n", "npy_header"),
        ("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}\n", "npy_header"),
        ("{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}\n", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': False 'shape': (1,)}\n", "npy_header"),
        ("{'descr': '<f4',, 'fortran_order': False, 'shape': (1,)}\n", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}\n", "npy_header"),
        ("{'descr': '<f' '4', 'fortran_order': False, 'shape': (1,)}\n", "npy_header"),
        ("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}\n", "npy_header"),
        ("{" * 4000 + "\n", "npy_header"),
        ("{" + "(" * 4000 + "}\n", "npy_header"),
        ("{}\n", "npy_header"),
        ("\n", "npy_header"),
        ("", "npy_header"),
        ("{'descr': '', 'fortran_order': False, 'shape': (1,)}\n", "npy_header"),
        ("{'descr': 'f4', 'fortran_order': False, 'shape': (1,)}\n", "npy_dtype"),
        ("{'descr': '=f4', 'fortran_order': False, 'shape': (1,)}\n", "npy_dtype"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n", "npy_header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1)}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (,)}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,,2)}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (01,)}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1,)}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}\n", "npy_shape"),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'9' * 3000},)}}\n", "npy_shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,)}\n", "npy_too_large"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0,9999999999,9999999999)}\n",
            "npy_too_large",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000,)}\n", "npy_size"),
    ],
)
def test_hostile_headers_are_refused_by_name(text: str, code: str) -> None:
    assert code_of(with_header(text, b"\x00" * 4)) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "npy_magic"),
        (b"PK\x03\x04" + b"\x00" * 100, "npy_magic"),
        (npy.MAGIC, "npy_version"),
        (npy.MAGIC + b"\x01", "npy_version"),
        (npy.MAGIC + b"\x04\x00" + b"\x00" * 100, "npy_version"),
        (npy.MAGIC + b"\x01\x01" + b"\x00" * 100, "npy_version"),
        (npy.MAGIC + b"\x01\x00\x10", "npy_truncated"),
        (npy.MAGIC + b"\x01\x00\x76\x00{", "npy_truncated"),
        (npy.MAGIC + b"\x02\x00\xff\xff\xff\xff", "npy_header"),
        (npy.MAGIC + b"\x01\x00\x01\x10", "npy_header"),
    ],
)
def test_other_beginnings_are_refused_by_name(data: bytes, code: str) -> None:
    assert code_of(data) == code


@pytest.mark.parametrize(
    "text",
    [
        "{'shape': (2, 3,), 'descr': '<i4', 'fortran_order': False}\n",
        '{"descr":"<i4","fortran_order":False,"shape":(2,3)}\n',
        "{ 'descr' : '<i4' , 'fortran_order' : False , 'shape' : (2,  3) , }   \n",
    ],
)
def test_headers_of_other_writers_are_read_as_numpy_reads_them(text: str) -> None:
    data = with_header(text, np.arange(6, dtype="<i4").tobytes())

    assert npy.load(data).tolist() == np.load(io.BytesIO(data)).tolist()


def test_ten_thousand_mutants_are_refused_or_are_what_numpy_reads() -> None:
    chance = random.Random(20_261_121)
    originals = [saved(np.arange(6, dtype=dtype).reshape(2, 3)) for dtype in ("<f4", "<i8", "|u1", "<f2")]
    alphabet = b"'\"{}(),: \n0123456789<>|=fiubOTrueFalsedescrshape_\x00\xff"
    refused = 0

    for _ in range(10_000):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(128)
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place] = chance.choice(alphabet)
                case 2:
                    del data[place]
                case _:
                    data.insert(place, chance.choice(alphabet))
        mutant = bytes(data)
        try:
            found = npy.load(mutant)
        except npy.NpyRefused:
            refused += 1
            continue
        expected = np.load(io.BytesIO(mutant), allow_pickle=False)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()

    assert 5_000 < refused < 10_000


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: npy.MAGIC + tail))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    with pytest.raises(npy.NpyRefused):
        npy.load(data)
