"""Float operators in their faster form compute what ONNX says."""

import numpy as np
import pytest

from tf2.execution import Runner, to_onnx
from tf2.ir import FLOAT32, Graph, Node, TensorType, verify


def lrn(shape: tuple[int, ...], **attrs: float) -> Graph:
    node = Node(name="lrn", op="LRN", inputs=("x",), outputs=("y",), attrs=attrs)
    types = {name: TensorType(FLOAT32, (1, *shape)) for name in ("x", "y")}
    return verify(
        Graph(name="g", inputs=("x",), outputs=("y",), nodes=(node,), types=types, constants={})
    )


def formula(x: np.ndarray, *, size: int, beta: float, alpha: float, bias: float) -> np.ndarray:
    """Return ONNX's definition of LRN in float64."""
    before = (size - 1) // 2
    sums = np.zeros(x.shape)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - before) : c + size - before].astype(np.float64)
        sums[:, c] = np.square(near).sum(axis=1)
    return x / (bias + alpha / size * sums) ** beta


@pytest.mark.parametrize("shape", [(7,), (7, 5), (7, 3, 4), (7, 2, 3, 4)])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0])
def test_lrn_as_a_sum_of_slices_computes_the_same(size: int, beta: float, shape, rng):
    attrs = {"size": size, "beta": beta, "alpha": 0.02, "bias": 1.5}
    graph = lrn(shape, **attrs)
    assert all(node.op_type != "LRN" for node in to_onnx(graph).graph.node)
    x = (rng.normal(size=(2, *shape)) * 20).astype(np.float32)
    # At most 15 roundings of 2**-24 each.
    np.testing.assert_allclose(Runner(graph)({"x": x})["y"], formula(x, **attrs), rtol=1e-6)


def test_lrn_has_the_defaults_of_onnx(rng):
    graph = lrn((6, 3, 4), size=3)
    x = (rng.normal(size=(2, 6, 3, 4)) * 50).astype(np.float32)
    golden = formula(x, size=3, beta=0.75, alpha=1e-4, bias=1.0)
    np.testing.assert_allclose(Runner(graph)({"x": x})["y"], golden, rtol=1e-6)


@pytest.mark.parametrize("attrs", [{"size": 5, "beta": 0.6}, {"size": 11, "beta": 0.75}])
def test_other_powers_and_wide_sums_stay_lrn(attrs):
    operators = [node.op_type for node in to_onnx(lrn((12, 3, 3), **attrs)).graph.node]
    assert operators == ["LRN"]
