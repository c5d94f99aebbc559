"""Comparison of results: honest differences between processors pass, plausible lies do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from opengrid import compare
from opengrid.compare import Difference

floats = hypothesis_numpy.arrays(
    st.sampled_from([np.dtype("<f2"), np.dtype("<f4"), np.dtype("<f8")]),
    hypothesis_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
)
any_arrays = hypothesis_numpy.arrays(
    st.sampled_from([np.dtype(name) for name in ("|b1", "<i8", "|u1", "<u8", "<f2", "<f4", "<f8")]),
    hypothesis_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
)


def probabilities(rows: int = 50, seed: int = 1) -> compare.AnyArray:
    raw = np.exp(np.random.default_rng(seed).normal(size=(rows, 10)) * 3)
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def difference(reference: compare.AnyArray, other: compare.AnyArray) -> Difference | None:
    outcome = compare.compare(reference, other)
    assert outcome.agree == (outcome.difference is None) == (outcome.detail == "")
    return outcome.difference


@given(any_arrays)
def test_an_array_agrees_with_itself(array: compare.AnyArray) -> None:
    assert compare.compare(array, array.copy()) == compare.AGREE


@given(hypothesis_numpy.arrays(np.int64, st.integers(1, 8)), st.data())
def test_one_changed_integer_is_found(array: compare.AnyArray, data: st.DataObject) -> None:
    other = array.copy()
    other[data.draw(st.integers(0, len(array) - 1))] ^= 1

    assert difference(array, other) is Difference.VALUES


def test_types_and_shapes_must_be_the_same() -> None:
    assert difference(np.zeros(3, np.float32), np.zeros(3, np.float64)) is Difference.DTYPE
    assert difference(np.zeros(3, np.int32), np.zeros(3, np.int64)) is Difference.DTYPE
    assert difference(np.zeros(3), np.zeros((3, 1))) is Difference.SHAPE
    assert difference(np.zeros((0, 3)), np.zeros((0, 4))) is Difference.SHAPE


def test_booleans_must_be_equal() -> None:
    assert difference(np.array([True, False]), np.array([True, True])) is Difference.VALUES


def test_text_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="cannot be compared"):
        compare.compare(np.array(["a"]), np.array(["a"]))


def test_differences_of_another_processor_agree() -> None:
    chance = np.random.default_rng(3)
    a = chance.normal(size=(64, 512)).astype(np.float32)
    b = chance.normal(size=(512, 64)).astype(np.float32)

    in_float64 = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)
    in_pieces = sum(a[:, k : k + 32] @ b[k : k + 32] for k in range(0, 512, 32))

    assert np.any(in_pieces != in_float64)
    assert compare.compare(in_float64, in_pieces).agree


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"),
    [(np.float16, 1e-2, 1e-3), (np.float32, 1e-4, 1e-6), (np.float64, 1e-4, 1e-6)],
)
def test_the_tolerance_is_relative_to_the_root_mean_square(dtype: type, rtol: float, atol: float) -> None:
    reference = np.array([3.0, -4.0, 0.0, 0.0], dtype=dtype)  # rms 2.5
    inside, outside = reference.copy(), reference.copy()
    inside[2] = 0.97 * (2.5 * rtol + atol)
    outside[2] = 1.03 * (2.5 * rtol + atol)

    assert difference(reference, inside) is None
    assert difference(reference, outside) is Difference.TOLERANCE


def test_all_zeros_are_compared_by_the_absolute_tolerance() -> None:
    zeros = np.zeros(4, dtype=np.float32)

    assert difference(zeros, zeros + np.float32(9e-7)) is None
    assert difference(zeros, zeros + np.float32(2e-6)) is Difference.TOLERANCE


@given(floats, st.data())
def test_a_number_in_place_of_a_hole_is_found(array: compare.AnyArray, data: st.DataObject) -> None:
    if not array.size:
        return
    array = np.asarray(np.nan_to_num(array, nan=1.0, posinf=2.0, neginf=3.0))
    place = data.draw(st.integers(0, array.size - 1))
    holes = [np.nan, np.inf, -np.inf]
    first, second = data.draw(st.permutations(holes))[:2]
    with_first, with_second = array.copy(), array.copy()
    with_first.flat[place], with_second.flat[place] = first, second

    assert difference(array, with_first) is Difference.NON_FINITE
    assert difference(with_first, array) is Difference.NON_FINITE
    assert difference(with_first, with_second) is Difference.NON_FINITE
    assert difference(with_first, with_first.copy()) is None


def test_holes_do_not_widen_the_tolerance_elsewhere() -> None:
    reference = np.array([np.inf, np.nan, 1.0, 1.0])
    other = np.array([np.inf, np.nan, 1.0, 1.01])

    assert difference(reference, other) is Difference.TOLERANCE


def test_a_wrong_label_with_the_right_probabilities_elsewhere_is_found() -> None:
    honest = probabilities()
    lie = honest.copy()
    row = int(np.argmax(np.ptp(honest, axis=1)))
    lie[row] = np.roll(lie[row], 1)

    assert difference(honest, lie) is Difference.TOLERANCE


def test_a_small_change_that_turns_a_clear_decision_is_found() -> None:
    reference = np.full((1000, 2), 100.0)
    reference[5] = [0.5, 0.508]  # the margin is below rtol * rms = 0.01
    turned_near = reference.copy()
    turned_near[5] = [0.509, 0.501]
    reference_clear = reference.copy()
    reference_clear[5] = [0.5, 0.512]  # the margin is above it
    turned_clear = reference_clear.copy()
    turned_clear[5] = [0.507, 0.506]

    assert difference(reference, turned_near) is None
    assert difference(reference_clear, turned_clear) is Difference.DECISION


def test_only_tables_have_decisions() -> None:
    flat = np.full(2000, 100.0)
    flat[:2] = [0.5, 0.512]
    turned = flat.copy()
    turned[:2] = [0.507, 0.506]

    assert difference(flat, turned) is None
    assert difference(flat.reshape(1000, 2), turned.reshape(1000, 2)) is Difference.DECISION
    assert difference(flat.reshape(10, 100, 2), turned.reshape(10, 100, 2)) is None
    assert difference(flat.reshape(2000, 1), turned.reshape(2000, 1)) is None


def test_one_huge_value_does_not_buy_a_tolerance_for_itself() -> None:
    honest = np.ones(1_000_000, dtype=np.float32)
    for value in (1e3, 1e10, 3e38):
        lie = honest.copy()
        lie[0] = value
        assert difference(lie, honest) is Difference.TOLERANCE
        assert difference(honest, lie) is Difference.TOLERANCE


def test_numbers_near_the_end_of_the_range_do_not_overflow() -> None:
    huge = np.array([1.7e308, -1.7e308, 1e308])

    assert difference(huge, huge.copy()) is None
    assert difference(huge, huge * (1 - 1e-6)) is None
    assert difference(huge, -huge) is Difference.TOLERANCE
    assert difference(huge.reshape(1, 3), -huge.reshape(1, 3)) is Difference.TOLERANCE


@given(hypothesis_numpy.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)))
def test_the_root_mean_square_is_numpys(values: compare.AnyArray) -> None:
    assert compare.root_mean_square(values) == pytest.approx(float(np.sqrt(np.mean(values**2))))
