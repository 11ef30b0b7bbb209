"""Networks of half and double precision become float32, and only those."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model

from tf2.errors import ImportModelError
from tf2.execution import Runner
from tf2.flow.importing import check_import
from tf2.importers import load_model
from tf2.importers.onnx import precisions, read_onnx
from tf2.importers.onnx.single_precision import in_float32
from tf2.ir import Plain, TensorType


def network(dtype, *, opset: int = 17) -> onnx.ModelProto:
    """Return a convolution, a change of layout, a matrix by way of Transpose, and a Cast."""
    rng = np.random.default_rng(0)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(dtype),
        "m": rng.standard_normal((5, 144)).astype(dtype),
        "shape": np.array([0, -1], np.int64),
    }
    half = numpy_helper.from_array(np.array(0.5, dtype))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Constant", [], ["half"], value=half),
        helper.make_node("Mul", ["c", "half"], ["h"]),
        helper.make_node("Reshape", ["h", "shape"], ["f"]),
        helper.make_node("Transpose", ["m"], ["t"]),
        helper.make_node("MatMul", ["f", "t"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=kind),
    ]
    inputs = {"x": ("N", 3, 8, 8)}
    return model(nodes, inputs=inputs, outputs=["y"], constants=constants, opset=opset, dtype=kind)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("opset", [9, 13, 21])
def test_the_graph_is_in_float32_and_computes_the_same(dtype, opset):
    graph = read_onnx(network(dtype, opset=opset))
    kinds = {str(value.dtype) for value in graph.types.values()}
    assert not kinds & {"float16", "float64"}
    same = read_onnx(network(np.float32, opset=opset))
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found, expected = Runner(graph)({"x": x})["y"], Runner(same)({"x": x})["y"]
    # weights are rounded to 11 bits in float16; in float64 they are the same after rounding
    tolerance = 2e-3 if dtype == np.float16 else 0.0
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(np.float16, "float16"), (np.float32, "float32"), (np.float64, "float64")],
)
def test_a_file_is_held_against_its_runtime_in_its_own_precision(tmp_path, dtype, precision):
    onnx.save(network(dtype), tmp_path / "net.onnx")
    imported = load_model(tmp_path / "net.onnx")
    assert imported.precision == precision
    check = check_import(imported, seed=0)
    if dtype == np.float64:  # ONNX Runtime has no convolution in double
        assert check.difference is None
    else:
        assert check.difference is not None


def test_a_float32_network_keeps_what_it_computes_in_double():
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["d", "third"], ["e"]),
        helper.make_node("Cast", ["e"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    constants = {"third": np.array(1 / 3), "w": np.ones((4, 2), np.float32)}
    source = model(nodes, inputs={"x": (1, 4)}, outputs=["y"], constants=constants)
    assert not precisions(source)
    assert in_float32(source) is source
    assert read_onnx(source).types["e"] == TensorType(Plain("float64"), (1, 4))


def test_the_source_is_left_as_it_was():
    source = network(np.float16)
    before = source.SerializeToString()
    read_onnx(source)
    assert source.SerializeToString() == before


def test_a_number_beyond_float32_is_refused_by_name():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    huge = {"w": np.array([[1e300], [1.0]])}
    source = model(
        nodes, inputs={"x": (1, 2)}, outputs=["y"], constants=huge, dtype=TensorProto.DOUBLE
    )
    with pytest.raises(ImportModelError, match=r"'w' holds 1e\+300, which float32 cannot"):
        read_onnx(source)
