"""Small graphs for the tests of `tf2.ir`, to be changed in one place by each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tf2.ir import FLOAT32, Attr, Feature, Graph, Node, Plain, TensorType

SIGNED = Feature(4, 0)
UNSIGNED = Feature(3, -128)


def residual_block() -> Graph:
    """Float image -> Quantize -> Conv (ReLU) -> MaxPool -> Add -> AveragePool -> Conv -> floats."""
    feature = TensorType(SIGNED, (1, 2, 4, 4))
    hidden = TensorType(UNSIGNED, (1, 2, 4, 4))
    conv = {
        "w": np.array([1, -64, 0, 2], np.int8).reshape(2, 2, 1, 1),
        "b": np.array([5, -7], np.int32),
        "m": np.array([1, 255], np.int32),
        "s": np.array([0, 16], np.int32),
    }
    full = {
        "fw": np.array([[4, -4]], np.int8),
        "fb": np.array([0], np.int32),
        "fm": np.array([3], np.int32),
        "fs": np.array([17], np.int32),
    }
    nodes = (
        tf2_node("quantize", "Quantize", ["image"], "x"),
        tf2_node("conv", "Conv", ["x", *conv], "y", weight_kind="pot4", low=-128, high=95),
        plain_node("pool", "MaxPool", ["y"], "p", kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
        tf2_node("sum", "Add", ["x", "p"], "r"),
        tf2_node("mean", "AveragePool", ["r"], "a", kernel_shape=(4, 4), multiplier=1, shift=4),
        plain_node("flat", "Flatten", ["a"], "f"),
        tf2_node("full", "Conv", ["f", *full], "z", weight_kind="pot4"),
        tf2_node("dequantize", "Dequantize", ["z"], "scores"),
    )
    return Graph(
        name="block",
        inputs=("image",),
        outputs=("scores",),
        nodes=nodes,
        types={
            "image": TensorType(FLOAT32, (1, 2, 4, 4)),
            "x": feature,
            "y": hidden,
            "p": hidden,
            "r": feature,
            "a": TensorType(SIGNED, (1, 2, 1, 1)),
            "f": TensorType(SIGNED, (1, 2)),
            "z": TensorType(Feature(0, 0), (1, 1)),
            "scores": TensorType(FLOAT32, (1, 1)),
            **{name: constant_type(data) for name, data in {**conv, **full}.items()},
        },
        constants={**conv, **full},
    )


def constant_type(data: np.ndarray) -> TensorType:
    return TensorType(Plain(data.dtype.name), data.shape)


def tf2_node(name: str, op: str, inputs: list[str], output: str, **attrs: Attr) -> Node:
    return Node(
        name=name, op=op, domain="tf2", inputs=tuple(inputs), outputs=(output,), attrs=attrs
    )


def plain_node(name: str, op: str, inputs: list[str], output: str, **attrs: Attr) -> Node:
    return Node(name=name, op=op, inputs=tuple(inputs), outputs=(output,), attrs=attrs)


def with_node(graph: Graph, name: str, change: Callable[[Node], Node]) -> Graph:
    """Return the graph with one node changed."""
    return replace(graph, nodes=tuple(change(n) if n.name == name else n for n in graph.nodes))


def with_type(graph: Graph, **types: TensorType) -> Graph:
    """Return the graph with the types of some values changed."""
    return replace(graph, types={**graph.types, **types})


def with_constant(graph: Graph, **constants: np.ndarray) -> Graph:
    """Return the graph with the data (and the types) of some constants changed."""
    types = {name: constant_type(data) for name, data in constants.items()}
    return with_type(replace(graph, constants={**graph.constants, **constants}), **types)
