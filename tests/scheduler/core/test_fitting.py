"""Which models runner onnx can feed, and which rows fit them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengrid.manifest import FileKind, Manifest, ManifestFile, Tensor
from scheduler.core import fitting


def a_model(*shapes, dtype="float32", kinds=(FileKind.ONNX,)):
    return Manifest.model_construct(
        files=tuple(
            ManifestFile.model_construct(name=f"{number}.{kind}", kind=kind) for number, kind in enumerate(kinds)
        ),
        inputs=tuple(Tensor(name=f"x{number}", dtype=dtype, shape=shape) for number, shape in enumerate(shapes)),
    )


@pytest.mark.parametrize("first", [-1, 1])
def test_one_float32_input_of_any_rows_or_one_row_can_be_fed(first):
    assert fitting.model_refusal(a_model((first, 4))) is None


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (a_model((-1, 4), kinds=()), "0 ONNX files"),
        (a_model((-1, 4), kinds=(FileKind.ONNX, FileKind.ONNX)), "2 ONNX files"),
        (a_model((-1, 4), (-1, 4)), "2 inputs"),
        (a_model((-1, 4), dtype="int64"), "takes int64"),
        (a_model((32, 4)), "takes the shape (32, 4)"),
        (a_model(()), "takes the shape ()"),
    ],
)
def test_all_other_models_are_refused_in_words(model, words):
    assert words in fitting.model_refusal(model)


def test_an_extra_file_of_weights_is_no_trouble():
    assert fitting.model_refusal(a_model((-1, 4), kinds=(FileKind.SAFETENSORS, FileKind.ONNX))) is None


SIZES = st.integers(1, 5)


@given(wanted=st.lists(st.one_of(st.just(-1), SIZES), max_size=4), rows=SIZES, data=st.data())
def test_rows_fit_when_every_fixed_size_is_met(wanted, rows, data):
    found = [data.draw(SIZES) if size == -1 else size for size in wanted]

    assert fitting.rows_refusal("float32", (rows, *found), a_model((-1, *wanted))) is None


@given(
    wanted=st.lists(SIZES, min_size=1, max_size=4),
    found=st.lists(SIZES, min_size=1, max_size=4),
    rows=SIZES,
)
def test_rows_are_refused_when_one_size_differs(wanted, found, rows):
    refusal = fitting.rows_refusal("float32", (rows, *found), a_model((-1, *wanted)))

    assert (refusal is None) == (wanted == found)


def test_another_element_type_is_refused_by_name():
    assert fitting.rows_refusal("float64", (2, 4), a_model((-1, 4))) == (
        "found elements of float64; the model takes float32"
    )
