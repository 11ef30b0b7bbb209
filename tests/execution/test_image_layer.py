"""First layers in the forms of `image_layer`: the same bytes, and where each form is taken."""

import numpy as np
import pytest

import random_layers
from agreement import assert_same_integers
from random_layers import Net
from tf2.execution import to_onnx
from tf2.ir import Feature, Graph, Plain, TensorType


def image_layer(
    rng: np.random.Generator,
    *,
    channels: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    size: tuple[int, int] = (13, 11),
    kind: str = "pot4",
    dilations: tuple[int, int] = (1, 1),
    x: TensorType | None = None,
) -> Graph:
    """Return Quantize, one convolution with 5 outputs, and what reads it."""
    source = Feature(0, int(rng.choice([0, -128])))
    net = Net(x or TensorType(Plain("float32"), (1, channels, *size)))
    first = net.add("Quantize", ["x"], TensorType(source, (1, channels, *size)))
    weight = random_layers.integer_weights(rng, (5, channels, *kernel), kind)
    bias = rng.integers(-3000, 3000, 5).astype(np.int32)
    factors = random_layers.rescaling(rng, 5, 9000.0, -128)
    out = tuple(
        (n + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, n in enumerate(size)
    )
    net.add(
        "Conv",
        [first, *(net.constant(array) for array in (weight, bias, *factors))],
        TensorType(Feature(-3, -128), (1, 5, *out)),
        strides=strides,
        pads=pads,
        dilations=dilations,
        weight_kind=kind,
    )
    return net.graph()


def operators(graph: Graph) -> list[str]:
    return [node.op_type for node in to_onnx(graph).graph.node]


def check(rng: np.random.Generator, graph: Graph) -> None:
    shape = (2, *graph.shape("x")[1:])
    assert_same_integers(graph, {"x": rng.uniform(-140, 260, shape).astype(np.float32)})


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_blocks_of_pixels_give_the_same_bytes(channels: int, stride: int, rng):
    for _ in range(40):
        size = tuple(rng.integers(5, 24, 2).tolist())
        kernel = tuple(rng.integers(1, 6, 2).tolist())
        pads = tuple(rng.integers(0, 4, 4).tolist())
        strides = (stride, stride)
        graph = image_layer(
            rng, channels=channels, kernel=kernel, strides=strides, pads=pads, size=size
        )
        assert "SpaceToDepth" in operators(graph)
        check(rng, graph)


@pytest.mark.parametrize("channels", [2, 3, 5, 6, 7, 9])
@pytest.mark.parametrize("strides", [(1, 1), (1, 2), (3, 3)])
def test_channels_of_zeros_give_the_same_bytes(channels: int, strides: tuple[int, int], rng):
    for _ in range(10):
        kernel = tuple(rng.integers(1, 6, 2).tolist())
        pads = tuple(rng.integers(0, 4, 4).tolist())
        graph = image_layer(rng, channels=channels, kernel=kernel, strides=strides, pads=pads)
        assert operators(graph)[1:] == ["Pad", "Transpose", "QLinearConv", "Transpose"]
        check(rng, graph)


def test_dilated_strided_layers_are_not_put_into_blocks(rng):
    graph = image_layer(rng, channels=3, kernel=(3, 3), strides=(2, 2), dilations=(2, 2))
    assert "SpaceToDepth" not in operators(graph)
    check(rng, graph)


@pytest.mark.parametrize(
    "case",
    [
        {"channels": 1, "kernel": (3, 3), "strides": (1, 1)},
        {"channels": 4, "kernel": (3, 3), "strides": (2, 2)},
        {"channels": 3, "kernel": (7, 7), "strides": (1, 1)},
    ],
)
def test_layers_that_gain_nothing_stay_as_they_are(case, rng):
    graph = image_layer(rng, **case)
    assert operators(graph)[1:] == ["QLinearConv"]
    check(rng, graph)


def test_eight_bit_weights_stay_as_they_are(rng):
    graph = image_layer(rng, channels=3, kernel=(3, 3), strides=(2, 2), kind="int8")
    assert operators(graph) == ["QuantizeLinear", "QLinearConv"]
    check(rng, graph)
