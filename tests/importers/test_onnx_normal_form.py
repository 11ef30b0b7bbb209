"""What the importer normalises: pads, constants, names, nodes that do nothing, branches."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import conv, model, one_node

from tf2.importers.check import largest_difference, onnx_runner
from tf2.importers.onnx import read_onnx


def same(source, graph, batch=2):
    return largest_difference(graph, onnx_runner(source), seed=0, batch=batch).relative < 1e-6


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 8])
def test_auto_pad_becomes_pads(mode, stride, size):
    source = conv(("N", 3, size, size), auto_pad=mode, strides=[stride, stride])
    graph = read_onnx(source)
    assert "auto_pad" not in graph.nodes[0].attrs
    assert same(source, graph)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_auto_pad_of_pools_becomes_pads(op, mode):
    source = one_node(op, ("N", 2, 9, 8), auto_pad=mode, kernel_shape=[2, 3], strides=[2, 2])
    graph = read_onnx(source)
    assert len(graph.nodes[0].attrs["pads"]) == 4
    assert same(source, graph)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_ceil_mode_has_the_shape_that_runs(op):
    attrs = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}
    source = one_node(op, ("N", 2, 5, 7), **attrs)
    graph = read_onnx(source)
    assert same(source, graph)
    result = onnx_runner(source)({"x": np.ones((1, 2, 5, 7), np.float32)})
    assert graph.shape("y") == result["y"].shape


def test_dropout_and_identity_disappear_and_outputs_keep_their_names():
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Dropout", ["a"], ["b", "mask"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Identity", ["c"], ["y"]),
    ]
    graph = read_onnx(model(nodes, inputs={"x": ("N", 3)}, outputs=["y"]))
    assert [node.op for node in graph.nodes] == ["Relu", "Identity"]
    assert graph.outputs == ("y",)


def test_names_are_unique_and_stable():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"], name="act"),
        helper.make_node("Tanh", ["b"], ["y"], name="act"),
    ]
    source = model(nodes, inputs={"x": ("N", 3)}, outputs=["y"])
    names = [node.name for node in read_onnx(source).nodes]
    assert names == ["Relu_0", "act", "act_1"]
    assert [node.name for node in read_onnx(source).nodes] == names


def test_value_names_lose_the_tilde_that_the_writer_uses():
    nodes = [
        helper.make_node("Relu", ["x~"], ["a~"]),
        helper.make_node("Tanh", ["a~"], ["a_"]),
        helper.make_node("Add", ["a_", "a~"], ["y"]),
    ]
    graph = read_onnx(model(nodes, inputs={"x~": ("N", 3)}, outputs=["y"]))
    assert graph.inputs == ("x_",)
    assert not any("~" in name for name in graph.types)
    assert graph.nodes[0].output == "a__"


def test_initializers_among_the_inputs_are_constants():
    source = conv(("N", 3, 8, 8), opset=8)
    source.ir_version = 3
    source.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 3, 3, 3)))
    graph = read_onnx(source)
    assert graph.inputs == ("x",)
    assert "w" in graph.constants


def test_constant_nodes_are_constants():
    nodes = [
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Mul", ["x", "two"], ["y"]),
    ]
    graph = read_onnx(model(nodes, inputs={"x": ("N", 3)}, outputs=["y"]))
    assert graph.constants["two"] == np.float32(2)


@pytest.mark.parametrize("flat", [True, False])
def test_sparse_initializers_become_dense(flat):
    values = numpy_helper.from_array(np.array([5, 7], np.float32), "w")
    places = np.array([1, 5]) if flat else np.array([[0, 1], [1, 2]])
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places, "at"), [2, 3])
    source = model(
        [helper.make_node("Gemm", ["x", "w"], ["y"])], inputs={"x": ("N", 2)}, outputs=["y"]
    )
    source.graph.sparse_initializer.append(sparse)
    graph = read_onnx(source)
    np.testing.assert_array_equal(graph.constants["w"], [[0, 5, 0], [0, 0, 7]])


def test_an_if_decided_by_shapes_becomes_its_branch():
    def branch(op):
        out = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
        nodes = [helper.make_node(op, ["x"], ["inner"]), helper.make_node("Abs", ["inner"], ["z"])]
        out.type.tensor_type.shape.SetInParent()
        return helper.make_graph(nodes, op, [], [out])

    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=1, end=2),
        helper.make_node("Equal", ["s", "three"], ["is_three"]),
        helper.make_node(
            "If", ["is_three"], ["y"], then_branch=branch("Neg"), else_branch=branch("Exp")
        ),
    ]
    constants = {"three": np.array([3])}
    source = model(nodes, inputs={"x": ("N", 3)}, outputs=["y"], constants=constants)
    graph = read_onnx(source)
    assert [node.op for node in graph.nodes] == ["Neg", "Abs", "Identity"]
    assert same(source, graph)


def test_local_functions_are_inlined():
    opsets = [helper.make_opsetid("", 21)]
    body = [helper.make_node("Relu", ["a"], ["t"]), helper.make_node("Neg", ["t"], ["b"])]
    function = helper.make_function("mine", "NegRelu", ["a"], ["b"], body, opsets)
    source = model(
        [helper.make_node("NegRelu", ["x"], ["y"], domain="mine")],
        inputs={"x": ("N", 3)},
        outputs=["y"],
    )
    source.functions.append(function)
    source.opset_import.append(helper.make_opsetid("mine", 1))
    assert [node.op for node in read_onnx(source).nodes] == ["Relu", "Neg"]


def test_operators_of_onnx_runtime_are_read_and_typed_by_a_run():
    source = model(
        [helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft", alpha=1.0)],
        inputs={"x": ("N", 3)},
        outputs=["y"],
    )
    graph = read_onnx(source)
    assert graph.nodes[0].kind == "com.microsoft.QuickGelu"
    assert graph.shape("y") == (1, 3)
    assert graph.batch_is_free


def test_a_quantized_model_keeps_its_operators():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = {"scale": np.float32(0.5), "zero": np.int8(3)}
    source = model(nodes, inputs={"x": ("N", 3)}, outputs=["y"], constants=constants)
    graph = read_onnx(source)
    assert [node.op for node in graph.nodes] == ["QuantizeLinear", "DequantizeLinear"]
    assert same(source, graph)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 20, 21, 22, 25, 28])
def test_every_opset_from_7_on(opset):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip("younger than the installed onnx")
    source = conv(("N", 3, 8, 8), opset=opset)
    source.ir_version = 8 if opset < 21 else 10
    graph = read_onnx(source)
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]


def test_reading_does_not_change_the_model():
    source = conv(("N", 3, 8, 8))
    before = source.SerializeToString(deterministic=True)
    read_onnx(source, input_shapes={"x": (1, 3, 16, 16)})
    assert source.SerializeToString(deterministic=True) == before
