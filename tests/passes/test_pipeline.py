"""All passes in order. `UPDATE_GOLDENS=1 pytest tests/passes/test_pipeline.py` rewrites goldens."""

import os
from pathlib import Path

import numpy as np
import pytest

from float_graphs import FloatNet, assert_same_function, feeds, ops
from tf2.ir import Graph, to_text
from tf2.passes import canonicalize
from tf2.passes.pipeline import FOLDS, LOWERINGS

GOLDENS = Path(__file__).parents[1] / "goldens"


def assert_golden(name: str, text: str) -> None:
    path = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def caffe_block(rng) -> FloatNet:
    """Pad, Conv, BatchNorm, Scale as Mul and Add, ReLU6 as two bounds, a global mean, MatMul."""
    net = FloatNet(rng, image=(1, 3, 8, 8))
    padded = net.add("Pad", "image", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    norm = net.batch_norm(net.conv(padded, 8, (3, 3), bias=False, strides=(2, 2)))
    scale = net.add("Mul", norm, net.vector(8).reshape(8, 1, 1))
    shift = net.add("Add", scale, net.vector(8).reshape(8, 1, 1))
    relu = net.add("Min", net.add("Relu", shift), np.float32(6))
    mean = net.add("ReduceMean", net.add("Dropout", relu), np.array([2, 3]), keepdims=0)
    product = net.add("MatMul", mean, net.weights(8, 5))
    net.add("Softmax", net.add("Add", product, net.vector(5)))
    return net


def dense_block(rng) -> FloatNet:
    """Concat, BatchNorm, ReLU that no convolution can take in; a sum of three; leaky ReLU on it."""
    net = FloatNet(rng, x=(1, 4, 6))
    first = net.conv("x", 4, (3,), pads=(1, 1))
    joined = net.add("Concat", first, net.conv(first, 4, (3,), pads=(1, 1)), axis=1)
    relu = net.add("Relu", net.batch_norm(joined))
    branches = [net.conv(relu, 4, (1,)) for _ in range(2)]
    net.add("LeakyRelu", net.add("Sum", first, *branches), alpha=0.125)
    return net


def decoder(rng) -> FloatNet:
    """Transposed convolution with ReLU, nearest enlargement, what only the host can do."""
    net = FloatNet(rng, x=(1, 4, 3, 3))
    wide = net.conv_transpose("x", 2, (4, 4), strides=(2, 2), pads=(1, 1, 1, 1))
    larger = net.add(
        "Resize", net.add("Relu", wide), "", np.array([1, 1, 2, 1], np.float32), mode="nearest"
    )
    net.add("Mul", net.add("Sigmoid", larger), np.float32(255))
    return net


NETS = [caffe_block, dense_block, decoder]


@pytest.mark.parametrize("build", NETS)
def test_goldens(build, rng):
    assert_golden(f"passes_{build.__name__}.txt", to_text(canonicalize(build(rng).graph()).graph))


@pytest.mark.parametrize("build", NETS)
def test_the_same_function_and_a_second_run_changes_nothing(build, rng):
    before = build(rng).graph()
    done = canonicalize(before)
    assert_same_function(before, done.graph, feeds(before, rng, 3))
    again = canonicalize(done.graph)
    assert to_text(again.graph) == to_text(done.graph)
    assert not again.absorbed


@pytest.mark.parametrize("build", NETS)
def test_every_node_is_there_or_absorbed_by_one_that_is(build, rng):
    before = build(rng).graph()
    done = canonicalize(before)
    present = {node.name for node in done.graph.nodes}
    names = {node.name for node in before.nodes}
    assert names == (names & present) | set(done.absorbed)
    assert not present & set(done.absorbed)
    assert set(done.absorbed.values()) <= present | {""}
    assert {declined.node for declined in done.declined} <= present


def test_a_declined_node_that_is_taken_in_later_is_not_declined(rng):
    """The MatMul is no canonical layer when FoldBatchNorm first sees it, the Pad before it is."""
    net = FloatNet(rng, x=(1, 4))
    norm = net.batch_norm(net.add("MatMul", "x", net.weights(4, 5)))
    done = canonicalize(net.graph())
    assert ops(done.graph) == ["Gemm"]
    assert done.declined == ()
    assert done.absorbed == {norm: "matmul0"}


def test_the_reason_why_a_norm_stays_on_the_host_is_kept(rng):
    net = FloatNet(rng, x=(1, 4, 6))
    norm = net.batch_norm("x")
    net.conv(norm, 3, (3,), pads=(1, 1))
    declined = canonicalize(net.graph()).declined
    assert [(d.node, d.reason) for d in declined] == [
        (norm, "no convolution or fully connected layer feeds it"),
        (norm, "what it reads is float on the host"),
    ]


def random_net(rng: np.random.Generator) -> Graph:
    """Twelve operators in a row or side by side, over any number of axes."""
    axes = int(rng.integers(0, 3))
    net = FloatNet(rng, x=(1, 4, *[6] * axes))
    values = ["x"]
    for _ in range(12):
        x = values[int(rng.integers(max(0, len(values) - 3), len(values)))]
        y = str(rng.choice(values))
        choice = str(rng.choice(
            ["linear", "linear", "norm", "affine", "relu", "clip", "leaky", "add", "sum", "same"]
        ))  # fmt: skip
        vector = net.vector(4).reshape(4, *[1] * axes)
        if choice == "linear":
            value = net.conv(x, 4, (1,) * axes) if axes else net.gemm(x, 4)
        elif choice == "norm":
            value = net.batch_norm(x)
        elif choice == "affine":
            value = net.add(str(rng.choice(["Mul", "Add", "Sub"])), x, vector)
        elif choice == "clip":
            value = net.add("Min", net.add("Max", x, np.float32(-1)), np.float32(6))
        elif choice == "add":
            value = net.add("Add", x, y)
        elif choice == "sum":
            value = net.add("Sum", x, y, x)
        else:
            op = {"relu": "Relu", "leaky": "LeakyRelu", "same": "Identity"}[choice]
            value = net.add(op, x)
        values.append(value)
    return net.graph(values[-1], *rng.choice(values[1:-1], 2, replace=False).tolist())


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_compute_the_same(seed: int):
    rng = np.random.default_rng(seed)
    before = random_net(rng)
    done = canonicalize(before)
    assert_same_function(before, done.graph, feeds(before, rng, 2), tolerance=1e-4)
    assert to_text(canonicalize(done.graph).graph) == to_text(done.graph)


def test_every_pass_of_the_package_is_in_the_pipeline():
    names = {type(pattern).__name__ for pattern in (*FOLDS, *LOWERINGS)}
    files = (Path(canonicalize.__code__.co_filename).parent).glob("*.py")
    classes = {
        line.split("class ")[1].split("(")[0]
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("class ") and "(RewritePattern)" in line
    }
    assert names == classes
