"""Only graphs of standard operators with everything inside, described as they are."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from registry.core import onnx_file
from tests.registry import models


def test_inputs_and_outputs_are_read_without_the_weights():
    facts = onnx_file.inspect(models.linear())

    assert facts.inputs == (onnx_file.TensorFacts("x", "float32", (-1, 4)),)
    assert facts.outputs == (onnx_file.TensorFacts("y", "float32", (-1, 2)),)


def test_weights_that_are_listed_as_inputs_are_not_inputs():
    def list_weights(model):
        model.graph.input.append(helper.make_tensor_value_info("W", TensorProto.FLOAT, [4, 2]))

    assert [tensor.name for tensor in onnx_file.inspect(models.linear(change=list_weights)).inputs] == ["x"]


@pytest.mark.parametrize(("opset", "ir_version"), [(9, 4), (21, 10), (23, 11)])
def test_versions_inside_the_bounds_are_accepted(opset, ir_version):
    assert onnx_file.inspect(models.linear(opset=opset, ir_version=ir_version)).outputs


def foreign_operator(model):
    model.graph.node[0].domain = "com.microsoft"


def hidden_foreign_operator(model):
    """The operator sits in a branch of an If."""
    branch = helper.make_graph(
        [helper.make_node("Secret", [], ["s"], domain="com.evil")],
        "branch",
        [],
        [helper.make_tensor_value_info("s", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("If", ["c"], ["r"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def external_attribute(model):
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="/etc/shadow")
    model.graph.node.append(helper.make_node("Constant", [], ["k"], value=tensor))


def local_function(model):
    model.functions.append(
        helper.make_function("local", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [])
    )


def training(model):
    model.training_info.add()


def unknown_field(model):
    model.MergeFromString(bytes([0xAA, 0x06, 3]) + b"abc")


def two_imports(model):
    model.opset_import.append(helper.make_opsetid("ai.onnx", 20))


def no_shape(model):
    model.graph.output[0].type.tensor_type.ClearField("shape")


def text_output(model):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING


def sequence_output(model):
    model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))


def dangling(model):
    model.graph.node[0].input[0] = "nowhere"


def unknown_operator(model):
    model.graph.node[0].op_type = "NoSuchOperator"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (foreign_operator, "com.microsoft"),
        (hidden_foreign_operator, "com.evil"),
        (models.external_data, "outside the file"),
        (external_attribute, "outside the file"),
        (local_function, "functions"),
        (training, "training"),
        (unknown_field, "fields that ONNX does not define"),
        (two_imports, "twice"),
        (no_shape, "rank"),
        (text_output, "element type"),
        (sequence_output, "zipmap"),
        (dangling, "onnx.checker"),
        (unknown_operator, "onnx.checker"),
    ],
)
def test_what_does_not_belong_is_refused_by_name(change, words):
    with pytest.raises(onnx_file.OnnxRefused, match=words):
        onnx_file.inspect(models.linear(change=change))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset": 8}, "version 8"),
        ({"opset": 24}, "version 24"),
        ({"ir_version": 3}, "IR version 3"),
        ({"ir_version": 12}, "IR version 12"),
        ({"domains": ["ai.onnx.preview.training"]}, "preview"),
    ],
)
def test_versions_outside_the_bounds_are_refused(changes, words):
    with pytest.raises(onnx_file.OnnxRefused, match=words):
        onnx_file.inspect(models.linear(**changes))


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"PK\x03\x04" + bytes(60), b"\x80\x04\x95" + bytes(60)])
def test_other_files_are_no_models(data):
    with pytest.raises(onnx_file.OnnxRefused):
        onnx_file.inspect(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_model_is_read_or_refused_and_nothing_else_happens(data):
    whole = bytearray(models.linear())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))

    with contextlib.suppress(onnx_file.OnnxRefused):
        assert onnx_file.inspect(bytes(whole[:cut])).outputs
