import numpy as np
import pytest

from float_graphs import FloatNet, Rng
from tf2.ir import Graph
from tf2.passes import canonicalize
from tf2.quantization import Step, partition


def step_of(graph: Graph, name: str) -> Step:
    return next(step for step in partition(graph).steps if name in {n.name for n in step.nodes})


def kinds(graph: Graph) -> list[str]:
    return [step.kind for step in partition(graph).steps]


def array_value(net: FloatNet) -> str:
    """A value in bytes: an activation is applied as they are written, so it leaves as no sums."""
    return net.add("Relu", net.conv("x", 4, (1,) * (len(net.shape("x")) - 2)))


@pytest.mark.parametrize("size", [(5,), (5, 4), (3, 4, 5)])
def test_convolutions_over_1_to_3_axes_run_on_the_array(size, rng: Rng):
    net = FloatNet(rng, x=(1, 4, *size))
    net.conv("x", 4, (3,) * len(size), group=2)
    assert kinds(net.graph()) == ["conv"]


@pytest.mark.parametrize("op", ["Relu", "LeakyRelu"])
def test_an_activation_that_alone_reads_a_layer_is_fused(op: str, rng: Rng):
    net = FloatNet(rng, x=(1, 4))
    activation = net.add(op, net.gemm("x", 3))
    (step,) = partition(net.graph()).steps
    assert [node.name for node in step.fused] == [activation]
    assert step.output == activation
    assert (step.activation.slope is None) == (op == "Relu")


def test_an_activation_beside_another_user_is_not_fused(rng: Rng):
    net = FloatNet(rng, x=(1, 4))
    layer = net.gemm("x", 3)
    graph = net.graph(layer, net.add("Relu", layer))
    assert kinds(graph) == ["conv", "host"]


def test_an_addition_fuses_bounds_but_no_slope(rng: Rng):
    for op, expected in (("Relu", ["conv", "add"]), ("LeakyRelu", ["conv", "add", "host"])):
        net = FloatNet(rng, x=(1, 4, 5))
        net.add(op, net.add("Add", array_value(net), "x"))
        assert kinds(net.graph()) == expected


MOVES = [
    ("Flatten", [], {}),
    ("Reshape", [np.array([0, 2, 6])], {}),
    ("Transpose", [], {"perm": (0, 2, 1)}),
    ("Slice", [np.array([1]), np.array([3]), np.array([1])], {}),
    ("Gather", [np.array([2, 0])], {"axis": 1}),
    ("Pad", [np.array([0, 0, 1, 0, 0, 1])], {}),
    ("Pad", [np.array([0, 0, 1, 0, 0, 1]), np.float32(0)], {}),
    ("Pad", [np.array([0, 0, 1, 0, 0, 1])], {"mode": "reflect"}),
    ("MaxPool", [], {"kernel_shape": (2,)}),
    ("Unsqueeze", [np.array([3])], {}),
    ("Tile", [np.array([1, 2, 1])], {}),
]


@pytest.mark.parametrize(("op", "operands", "attrs"), MOVES)
def test_moves_of_bytes_move_bytes(op, operands, attrs, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    moved = net.add(op, array_value(net), *operands, **attrs)
    graph = net.graph()
    assert kinds(graph) == ["conv", "move"]
    assert moved in partition(graph).in_bytes


@pytest.mark.parametrize(("op", "operands", "attrs"), MOVES)
def test_between_host_and_array_they_move_bytes_too(op, operands, attrs, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    moved = net.add(op, net.add("Sigmoid", "x"), *operands, **attrs)
    flat = net.add("Flatten", moved)
    net.gemm(flat, 3)
    assert kinds(net.graph()) == ["host", "move", "move", "conv"]


def test_between_host_and_host_they_stay_there(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    pooled = net.add("MaxPool", net.add("Sigmoid", "x"), kernel_shape=(2,))
    graph = net.graph(net.conv(pooled, 3, (1,)), net.add("Tanh", pooled))
    assert kinds(graph) == ["host", "host", "conv", "host"]
    assert step_of(graph, pooled).reason == "its input is float on the host"


def test_a_move_whose_result_is_a_graph_output_stays_on_the_host(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    pooled = net.add("MaxPool", "x", kernel_shape=(2,))
    assert kinds(net.graph(pooled, net.conv(pooled, 3, (1,)))) == ["host", "conv"]


def test_a_concat_of_host_and_array_joins_bytes_when_only_layers_read_it(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    joined = net.add("Concat", net.add("Sigmoid", "x"), array_value(net), axis=1)
    conv = net.conv(joined, 3, (1,))
    assert kinds(net.graph()) == ["host", "conv", "move", "conv"]
    graph = net.graph(conv, net.add("Softmax", joined))
    assert kinds(graph) == ["host", "conv", "host", "conv", "host"]


def test_a_layer_that_nothing_on_the_array_reads_gives_its_sums(rng: Rng):
    """Not even after moves, which then are the host's."""
    net = FloatNet(rng, x=(1, 4, 3))
    first = net.conv("x", 4, (1,))
    last = net.add("Flatten", net.conv(first, 4, (1,)))
    steps = partition(net.graph(last, net.add("Sigmoid", last))).steps
    assert [step.kind for step in steps] == ["conv", "conv", "host", "host"]
    assert [step.sums for step in steps] == [False, True, False, False]
    assert steps[1].reason == "shift-accumulate; the host scales the sums"


@pytest.mark.parametrize("op", ["Add", "GlobalAveragePool", "AveragePool"])
def test_a_layer_that_the_array_reads_after_moves_gives_bytes(op: str, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 3))
    conv = net.conv("x", 4, (1,))
    moved = net.add("MaxPool", conv, kernel_shape=(1,))
    operands = [moved, "x"] if op == "Add" else [moved]
    attrs = {"kernel_shape": (2,)} if op == "AveragePool" else {}
    graph = net.graph(conv, net.add(op, *operands, **attrs))
    assert not step_of(graph, conv).sums


def test_averages_of_whole_maps_give_sums_others_bytes(rng: Rng):
    for op, attrs, sums in (
        ("GlobalAveragePool", {}, True),
        ("AveragePool", {"kernel_shape": (6,)}, True),
        ("AveragePool", {"kernel_shape": (2,)}, False),
        ("AveragePool", {"kernel_shape": (6,), "pads": (1, 1), "count_include_pad": 1}, False),
    ):
        net = FloatNet(rng, x=(1, 4, 6))
        pool = net.add(op, array_value(net), **attrs)
        assert step_of(net.graph(), pool).sums == sums


def test_pools_of_one_divisor_run_on_the_array(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 6))
    once = net.add("AveragePool", array_value(net), kernel_shape=(2,), strides=(2,))
    net.add("GlobalAveragePool", once)
    assert kinds(net.graph()) == ["conv", "average_pool", "average_pool"]


def test_an_addition_reads_the_host_when_one_operand_is_of_the_array(rng: Rng):
    net = FloatNet(rng, x=(1, 4, 5))
    net.add("Add", net.add("Sigmoid", "x"), array_value(net))
    assert kinds(net.graph()) == ["host", "conv", "add"]


# One net for each reason why a node runs on the host: what to add, the reason of the last node.
def _run_time_weights(net: FloatNet) -> str:
    return net.add("Conv", "x", net.add("Tanh", net.constant(net.weights(2, 4, 1))))


def _double_weights(net: FloatNet) -> str:
    weight = net.weights(2, 4, 1).astype(np.float64)
    return net.add("Conv", net.add("Cast", "x", to=11), weight)


def _run_time_bias(net: FloatNet) -> str:
    bias = net.add("Tanh", net.constant(net.vector(2)))
    return net.add("Conv", "x", net.weights(2, 4, 1), bias)


def _constant_input(net: FloatNet) -> str:
    return net.conv(net.constant(net.weights(1, 4, 3)), 2, (1,))


def _plain_gemm(net: FloatNet) -> str:
    return net.add("Gemm", net.add("Flatten", "x"), net.weights(20, 2))


def _four_axes(net: FloatNet) -> str:
    x = net.add("Reshape", "x", np.array([0, 4, 5, 1, 1, 1]))
    return net.add("Conv", x, net.weights(2, 4, 1, 1, 1, 1))


def _constant_addend(net: FloatNet) -> str:
    return net.add("Add", array_value(net), net.vector(5))


def _host_addends(net: FloatNet) -> str:
    return net.add("Add", net.add("Tanh", "x"), "x")


def _host_pool(net: FloatNet) -> str:
    return net.add("GlobalAveragePool", net.add("Tanh", "x"))


def _border_pool(net: FloatNet) -> str:
    return net.add("AveragePool", array_value(net), kernel_shape=(3,), pads=(1, 1))


def _run_time_shape(net: FloatNet) -> str:
    shape = net.add("Shape", "x")
    return net.add("Reshape", array_value(net), shape)


def _constant_moved(net: FloatNet) -> str:
    return net.add("Concat", array_value(net), net.constant(net.weights(1, 4, 5)), axis=1)


def _positions(net: FloatNet) -> str:
    return net.add("MaxPool", array_value(net), kernel_shape=(2,), outputs=2)


def _pad_with_one(net: FloatNet) -> str:
    return net.add("Pad", array_value(net), np.array([0, 0, 1, 0, 0, 1]), np.float32(1))


def _pad_at_run_time(net: FloatNet) -> str:
    value = net.add("Tanh", net.constant(np.float32(0)))
    return net.add("Pad", array_value(net), np.array([0, 0, 1, 0, 0, 1]), value)


def _host_activation(net: FloatNet) -> str:
    return net.add("Relu", net.add("Tanh", "x"))


def _odd_clip(net: FloatNet) -> str:
    return net.add("Clip", array_value(net), np.float32(1), np.float32(2))


def _product(net: FloatNet) -> str:
    return net.add("Mul", array_value(net), array_value(net))


def _transposed(net: FloatNet) -> str:
    return net.conv_transpose("x", 2, (2,), dilations=(2,))


def _sigmoid(net: FloatNet) -> str:
    return net.add("Sigmoid", array_value(net))


REASONS = [
    (_run_time_weights, "its weights are computed at run time"),
    (_double_weights, "its weights are float64, not float32"),
    (_run_time_bias, "its bias is computed at run time or differs between samples"),
    (_constant_input, "its input is a constant"),
    (_plain_gemm, "it is not a fully connected layer"),
    (_four_axes, "it has 4 spatial axes; the array takes 1 to 3"),
    (_constant_addend, "it adds a constant that no convolution could take in"),
    (_host_addends, "both operands are float on the host"),
    (_host_pool, "its input is float on the host"),
    (_border_pool, "windows at the border divide by fewer positions than the others"),
    (_run_time_shape, "its parameters are computed at run time"),
    (_constant_moved, "it moves a constant"),
    (_positions, "it also returns the positions of the maxima"),
    (_pad_with_one, "it pads with a value other than 0"),
    (_pad_at_run_time, "its parameters are computed at run time"),
    (_host_activation, "no convolution, fully connected layer or add on the array feeds it alone"),
    (_odd_clip, "the activation is not a clip with at most one slope a channel below zero"),
    (_product, "no convolution could take it in"),
    (_transposed, "it could not be written as a convolution"),
    (_sigmoid, "Sigmoid is not an operator of the array"),
]


@pytest.mark.parametrize(("build", "reason"), REASONS, ids=[b.__name__ for b, _ in REASONS])
def test_every_reason_for_the_host(build, reason: str, rng: Rng):
    net = FloatNet(rng, x=(1, 4, 5))
    name = build(net)
    graph = net.graph(net.nodes[-1].outputs[-1])
    step = step_of(graph, name)
    assert (step.kind, step.reason) == ("host", reason)


def test_every_node_is_in_exactly_one_step_in_order(rng: Rng):
    for build, _ in REASONS:
        net = FloatNet(rng, x=(1, 4, 5))
        build(net)
        graph = canonicalize(net.graph(net.nodes[-1].outputs[-1])).graph
        placed = [node.name for step in partition(graph).steps for node in step.nodes]
        assert sorted(placed) == sorted(node.name for node in graph.nodes)


def test_an_activation_between_other_nodes_is_taken_in_where_its_layer_stands(rng: Rng):
    """Graph order conv, conv, relu of the first, relu of the second."""
    net = FloatNet(rng, x=(1, 4, 5))
    convs = [net.conv("x", 4, (1,)) for _ in range(2)]
    relus = [net.add("Relu", conv) for conv in convs]
    steps = partition(net.graph(*relus)).steps
    assert [step.output for step in steps] == relus
