"""What the interpreter and the Runner do with inputs, outputs and graphs that cannot run."""

import numpy as np
import onnx
import pytest

from random_layers import Net
from tf2.errors import EngineError
from tf2.execution import Runner, interpret, to_onnx
from tf2.ir import Feature, Graph, Plain, TensorType

FLOAT = Plain("float32")


def doubled() -> Graph:
    """floats -> bytes -> bytes + bytes -> floats; frac_bits 2."""
    net = Net(TensorType(FLOAT, (1, 3)))
    form = TensorType(Feature(2, 0), (1, 3))
    small = net.add("Quantize", ["x"], form)
    total = net.add("Add", [small, small], form)
    net.add("Dequantize", [total], TensorType(FLOAT, (1, 3)))
    return net.graph()


@pytest.mark.parametrize("run", [interpret, lambda graph, feeds: Runner(graph)(feeds)])
def test_a_graph_runs_on_any_batch(run):
    rows = np.array([[0.25, -1.0, 99.0], [0.1, 0.2, 0.4]], np.float32)
    assert run(doubled(), {"x": rows})["v2"].tolist() == [[0.5, -2.0, 31.75], [0.0, 0.5, 1.0]]
    assert run(doubled(), {"x": rows[:1]})["v2"].shape == (1, 3)


def test_named_values_are_returned_instead_of_the_outputs():
    feeds = {"x": np.array([[0.25, -1.0, 99.0]], np.float32)}
    expected = {"v0": [[1, -4, 127]], "v1": [[2, -8, 127]]}
    golden = interpret(doubled(), feeds, ["v1", "v0"])
    found = Runner(doubled(), outputs=["v1", "v0"])(feeds)
    assert {name: value.tolist() for name, value in golden.items()} == expected
    assert {name: value.tolist() for name, value in found.items()} == expected
    assert {value.dtype for value in found.values()} == {np.dtype(np.int8)}


@pytest.mark.parametrize("run", [interpret, lambda graph, feeds: Runner(graph)(feeds)])
def test_a_missing_input_is_named(run):
    with pytest.raises(EngineError, match=r"input 'x' is missing; .* reads \('x',\)"):
        run(doubled(), {"y": np.zeros((1, 3), np.float32)})


def test_onnx_runtime_s_reason_is_kept_when_an_input_does_not_fit():
    with pytest.raises(EngineError, match=r"(?s)cannot run 'random': .*Got: 4 Expected: 3"):
        Runner(doubled())({"x": np.zeros((1, 4), np.float32)})


def test_a_graph_that_onnx_runtime_does_not_know_is_refused_with_its_name():
    net = Net(TensorType(FLOAT, (1, 3)))
    net.add("Nonsense", ["x"], TensorType(FLOAT, (1, 3)), domain="")
    with pytest.raises(EngineError, match="ONNX Runtime refuses 'random'"):
        Runner(net.graph())
    with pytest.raises(EngineError, match="Nonsense node 'n0' cannot be interpreted"):
        interpret(net.graph(), {"x": np.zeros((1, 3), np.float32)})


def test_the_onnx_model_is_valid_and_stores_features_as_uint8():
    net = Net(TensorType(Feature(2, 0), (1, 3)))
    constant = net.constant(np.array([[-128, 0, 127]], np.int8))
    net.types[constant] = TensorType(Feature(2, 0), (1, 3))
    net.add("Add", ["x", constant], TensorType(Feature(2, -128), (1, 3)))
    model = to_onnx(net.graph())
    onnx.checker.check_model(model)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert stored[constant].tolist() == [[0, 128, 255]]
    for value in (model.graph.input[0], model.graph.output[0]):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_fixed_batch_stays_in_the_onnx_model():
    net = Net(TensorType(FLOAT, (1, 3)), batch_is_free=False)
    net.add("Relu", ["x"], TensorType(FLOAT, (1, 3)), domain="")
    model = to_onnx(net.graph())
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
