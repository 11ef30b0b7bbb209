"""Operators that move feature bytes: the bytes of ONNX Runtime are those of the interpreter."""

import numpy as np
import pytest

import random_layers
from agreement import assert_same_integers
from random_layers import Net
from tf2.ir import Feature, Graph, Node, Plain, TensorType, verify
from tf2.ir.integer_ops import BYTE_MOVERS

INT64 = np.int64

# op, attributes, constant operands after the data, input shape, output shape
CASES = [
    ("Concat", {"axis": 1}, [], (1, 4, 3, 3), (1, 4, 3, 3)),
    ("DepthToSpace", {"blocksize": 2}, [], (1, 8, 3, 3), (1, 2, 6, 6)),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [], (1, 8, 3, 3), (1, 2, 6, 6)),
    ("Flatten", {"axis": 1}, [], (1, 4, 3, 5), (1, 60)),
    ("Gather", {"axis": 1}, [[3, 0, 0, -1]], (1, 4, 3), (1, 4, 3)),
    ("Identity", {}, [], (1, 4, 3), (1, 4, 3)),
    ("MaxPool", {"kernel_shape": (2, 3), "strides": (2, 2)}, [], (1, 2, 5, 7), (1, 2, 2, 3)),
    ("MaxPool", {"kernel_shape": (3,), "pads": (1, 1)}, [], (1, 2, 5), (1, 2, 5)),
    ("MaxPool", {"kernel_shape": (3,), "dilations": (2,)}, [], (1, 2, 9), (1, 2, 5)),
    ("MaxPool", {"kernel_shape": (3,), "strides": (2,), "ceil_mode": 1}, [], (1, 2, 6), (1, 2, 3)),
    ("Pad", {}, [[0, 0, 1, 0, 0, 2]], (1, 4, 3), (1, 4, 6)),
    ("Pad", {"mode": "reflect"}, [[0, 0, 1, 0, 0, 2]], (1, 4, 3), (1, 4, 6)),
    ("Pad", {"mode": "edge"}, [[0, 0, 1, 0, 0, 2]], (1, 4, 3), (1, 4, 6)),
    ("Reshape", {}, [[0, 2, -1]], (1, 4, 3), (1, 2, 6)),
    ("Slice", {}, [[1], [4], [1], [2]], (1, 5, 3), (1, 2, 3)),
    ("Slice", {}, [[-1], [-9], [2], [-1]], (1, 5, 3), (1, 5, 3)),
    ("SpaceToDepth", {"blocksize": 2}, [], (1, 2, 4, 6), (1, 8, 2, 3)),
    ("Squeeze", {}, [[2]], (1, 4, 1), (1, 4)),
    ("Tile", {}, [[1, 2, 3]], (1, 4, 3), (1, 8, 9)),
    ("Transpose", {"perm": (0, 2, 1)}, [], (1, 4, 3), (1, 3, 4)),
    ("Unsqueeze", {}, [[1]], (1, 4, 3), (1, 1, 4, 3)),
]


def test_every_byte_mover_has_a_case():
    assert {case[0] for case in CASES} | {"Split"} == BYTE_MOVERS


@pytest.mark.parametrize("zero_point", [0, -128])
@pytest.mark.parametrize(("op", "attrs", "operands", "shape", "out"), CASES)
def test_bytes_are_moved_alike(op, attrs, operands, shape, out, zero_point: int, rng):
    feature = Feature(3, zero_point)
    net = Net(TensorType(feature, shape))
    constants = [net.constant(np.array(operand, INT64)) for operand in operands]
    net.add(op, ["x", *constants], TensorType(feature, out), domain="", **attrs)
    golden = assert_same_integers(net.graph(), random_layers.feeds(rng, net.graph(), 2))
    assert golden["v0"].shape == (2, *out[1:])


@pytest.mark.parametrize("zero_point", [0, -128])
def test_padding_inserts_the_zero_point(zero_point: int):
    feature = Feature(3, zero_point)
    net = Net(TensorType(feature, (1, 2)))
    pads = net.constant(np.array([0, 1, 0, 1], INT64))
    net.add("Pad", ["x", pads], TensorType(feature, (1, 4)), domain="")
    golden = assert_same_integers(net.graph(), {"x": np.array([[5, -7]], np.int8)})
    assert golden["v0"].tolist() == [[zero_point, 5, -7, zero_point]]


def test_split_gives_each_part(rng):
    feature = Feature(0, 0)
    types = {name: TensorType(feature, (1, n, 3)) for name, n in (("x", 5), ("a", 2), ("b", 3))}
    split = Node(name="split", op="Split", inputs=("x", "n"), outputs=("a", "b"), attrs={"axis": 1})
    graph = verify(
        Graph(
            name="split",
            inputs=("x",),
            outputs=("a", "b"),
            nodes=(split,),
            types={**types, "n": TensorType(Plain("int64"), (2,))},
            constants={"n": np.array([2, 3], INT64)},
        )
    )
    feeds = random_layers.feeds(rng, graph, 2)
    golden = assert_same_integers(graph, feeds)
    np.testing.assert_array_equal(np.concatenate([golden["a"], golden["b"]], 1), feeds["x"])
