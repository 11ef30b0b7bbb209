"""Names and borders of the integer graph; its arithmetic is tested with compression."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from float_graphs import FloatNet, Rng
from tf2.ir import INT32, Feature, Graph, to_text
from tf2.passes.activation import Activation
from tf2.quantization import ConvParameters, IntegerGraph, Step, SumParameters, partition
from tf2.quantization.feature_scales import groups_of_equal_scale
from tf2.quantization.integer_graph import activation_bytes

GOLDENS = Path(__file__).parents[1] / "goldens"
SCALE = Feature(4, 0)


def add_conv(builder: IntegerGraph, graph: Graph, step: Step) -> None:
    """Add weights of 1, and a second multiplier where the activation has a slope."""
    weight = graph.constants[step.node.inputs[1]]
    ones, nothing = np.ones(len(weight)), np.zeros(len(weight))
    if step.sums:
        parameters = SumParameters(
            weight=np.ones(weight.shape, np.int8),
            bias=nothing.astype(np.int32),
            scale=ones.astype(np.float32) / 16,
            weight_kind="pot4",
        )
        builder.add_conv_sums(step, parameters)
        return
    negative = None if step.activation.slope is None else (ones, nothing)
    parameters = ConvParameters(
        weight=np.ones(weight.shape),
        bias=nothing,
        multiplier=ones,
        shift=nothing + 4,
        weight_kind="pot4",
        negative=negative,
    )
    builder.add_conv(step, parameters)


def integer_graph(graph: Graph, scale: Feature = SCALE) -> Graph:
    """Return the integer graph with one scale for every feature."""
    plan = partition(graph)
    names = [name for group in groups_of_equal_scale(graph, plan) for name in group]
    builder = IntegerGraph(graph, dict.fromkeys(names, scale))
    for step in plan.steps:
        if step.kind == "conv":
            add_conv(builder, graph, step)
        elif step.kind == "add":
            builder.add_elementwise_add(step)
        elif step.kind == "average_pool":
            builder.add_average_pool(step)
        elif step.kind == "move":
            builder.add_move(step)
        else:
            builder.add_host(step)
    return builder.finished()


def layer(net: FloatNet, x: str = "x") -> str:
    """A layer whose result is bytes, whatever reads it."""
    return net.add("Relu", net.conv(x, 2, (1,)))


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes]


def everything(rng: Rng) -> Graph:
    """Layers, a sum, a pool, moves, a host island, an output in the middle."""
    net = FloatNet(rng, x=(1, 2, 4, 4))
    conv = net.add("LeakyRelu", net.conv("x", 2, (3, 3), pads=(1, 1, 1, 1)))
    total = net.add("Relu", net.add("Add", conv, "x"))
    island = net.add("Sigmoid", total)
    joined = net.add("Concat", net.conv(island, 2, (1, 1)), total, axis=1)
    mean = net.add("Flatten", net.add("GlobalAveragePool", joined))
    return net.graph(total, net.gemm(mean, 3))


def test_golden(rng: Rng):
    path = GOLDENS / "quantization_everything.txt"
    text = to_text(integer_graph(everything(rng)))
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_inputs_and_outputs_keep_names_and_types(rng: Rng):
    graph = everything(rng)
    integer = integer_graph(graph)
    for names in ("inputs", "outputs"):
        assert getattr(integer, names) == getattr(graph, names)
        for name in getattr(graph, names):
            assert integer.types[name] == graph.types[name]


def test_each_value_has_at_most_one_byte_form_and_one_border(rng: Rng):
    integer = integer_graph(everything(rng))
    borders = Counter(
        (node.op, node.inputs[0]) for node in integer.nodes if node.op.endswith("quantize")
    )
    assert set(borders.values()) <= {1}
    features = [n for n, t in integer.types.items() if isinstance(t.dtype, Feature)]
    assert all(name.endswith(":bytes") for name in features)


def test_an_input_read_twice_is_quantized_once(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    graph = net.graph(layer(net), layer(net))
    assert kinds(integer_graph(graph)) == [
        "tf2.Quantize", "tf2.Conv", "tf2.Conv", "tf2.Dequantize", "tf2.Dequantize",
    ]  # fmt: skip


def test_a_host_island_has_a_border_on_either_side(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    first = layer(net)
    island = net.add("Sigmoid", first)
    last = layer(net, island)
    integer = integer_graph(net.graph())
    assert [(node.kind, node.inputs[0], node.output) for node in integer.nodes] == [
        ("tf2.Quantize", "x", "x:bytes"),
        ("tf2.Conv", "x:bytes", f"{first}:bytes"),
        ("tf2.Dequantize", f"{first}:bytes", first),
        ("Sigmoid", first, island),
        ("tf2.Quantize", island, f"{island}:bytes"),
        ("tf2.Conv", f"{island}:bytes", f"{last}:bytes"),
        ("tf2.Dequantize", f"{last}:bytes", last),
    ]


def test_two_readers_on_the_host_share_one_border(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    value = layer(net)
    graph = net.graph(net.add("Sigmoid", value), net.add("Tanh", value), value)
    assert Counter(kinds(integer_graph(graph)))["tf2.Dequantize"] == 1


def test_an_output_that_is_an_input_or_of_the_host_gets_no_border(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    assert kinds(integer_graph(net.graph("x", net.add("Tanh", "x")))) == ["Tanh"]


def test_both_operands_of_an_addition_may_be_one_value(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    value = layer(net)
    total = net.add("Add", value, value)
    node = integer_graph(net.graph()).node(total)
    assert node.inputs == (f"{value}:bytes", f"{value}:bytes")


def test_parameters_of_moves_are_not_quantized(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    value = layer(net)
    padded = net.add("Pad", value, np.array([0, 0, 1, 0, 0, 1]), np.float32(0))
    node = integer_graph(net.graph()).node(padded)
    assert node.inputs == (f"{value}:bytes", *net.nodes[-1].inputs[1:])


@pytest.mark.parametrize(
    ("activation", "feature", "expected"),
    [
        (Activation(), Feature(4, 0), {}),
        (Activation(low=0.0), Feature(4, 0), {"low": 0}),
        (Activation(low=0.0), Feature(4, -128), {}),  # the saturation itself
        (Activation(low=0.0, high=6.0), Feature(4, 0), {"low": 0, "high": 96}),
        (Activation(low=0.0, high=6.0), Feature(5, -128), {"high": 64}),  # 192 steps from -128
        (Activation(low=0.0, high=6.0), Feature(6, -128), {}),  # 384 steps: beyond 255
        (Activation(low=-1.0, high=1.0), Feature(4, 0), {"low": -16, "high": 16}),
        (Activation(low=-1.0, high=1.0), Feature(10, 0), {}),
        (Activation(slope=np.ones(1)), Feature(4, 0), {}),
        (Activation(low=0.0, high=0.3), Feature(2, 0), {"low": 0, "high": 1}),  # 1.2 steps
    ],
)
def test_bounds_of_an_activation_in_bytes(activation, feature, expected):
    assert activation_bytes(activation, feature) == expected


def test_pools_have_the_multiplier_of_their_divisor_and_scales(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    name = net.add("GlobalAveragePool", layer(net))
    layer(net, name)
    pool = integer_graph(net.graph()).node(name)
    assert (pool.attrs["multiplier"], pool.attrs["shift"]) == (1, 2)
    assert pool.attrs["kernel_shape"] == (4,)


def test_sums_leave_the_array_as_int32_and_are_scaled_in_float(rng: Rng):
    net = FloatNet(rng, x=(1, 2, 4))
    conv = net.conv("x", 2, (1,))
    mean = net.add("GlobalAveragePool", layer(net))
    integer = integer_graph(net.graph(conv, mean))
    for name in (conv, mean):
        chain = [node for node in integer.nodes if node.output.startswith(name)]
        assert [node.kind.removeprefix("tf2.") for node in chain[1:]] == ["Cast", "Mul"]
        assert integer.types[chain[0].output].dtype == INT32
        assert chain[-1].output == name
    # One step of a sum over four values of 1/16 is 1/64 of their mean.
    assert integer.constants[f"{mean}:scale"] == 1 / 64
