"""The torch module computes what the graph computes, has gradients, and gives the graph back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from color_classifier import color_model
from tf2.errors import TrainingError
from tf2.execution import Runner, interpret
from tf2.importers import load_model
from tf2.importers.onnx import read_onnx
from tf2.ir import FLOAT32, Graph, Node, TensorType, verify
from tf2.passes import canonicalize
from tf2.training.module import GraphModule

MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "models"

REAL = {
    "resnet20-cifar10-pytorch/resnet20.onnx": {},
    "squeezenet-v1.1-caffe/deploy.prototxt": {"weights": "squeezenet_v1.1.caffemodel"},
    "mtcnn-caffe/det1.prototxt": {"weights": "det1.caffemodel"},
    "mtcnn-caffe/det3.prototxt": {"weights": "det3.caffemodel"},
    "ecg5000-tcn-1d/tcn.onnx": {},
    "crepe-tiny-1d-pytorch/crepe_tiny.onnx": {},
    "fastestdet-onnx/FastestDet.onnx": {},
    "meshnet5-3d/meshnet.onnx": {"input_shapes": [[1, 1, 16, 16, 16]]},
}


def feeds_of(graph: Graph, rng: np.random.Generator, batch: int = 2) -> dict[str, np.ndarray]:
    size = batch if graph.batch_is_free else 1
    return {
        name: rng.standard_normal((size, *graph.shape(name)[1:])).astype(np.float32)
        for name in graph.inputs
    }


def as_torch(feeds: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in feeds.items()}


def outputs_of(module: GraphModule, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        results = module.eval()(as_torch(feeds))
    return [r.numpy() for r in (results if isinstance(results, tuple) else (results,))]


def conv_bn(rng: np.random.Generator) -> Graph:
    """Convolution, BatchNormalization, ReLU, and a fully connected layer."""

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "w": normal(4, 3, 3, 3), "gamma": 1 + 0.1 * normal(4), "beta": normal(4),
        "mean": normal(4), "var": np.abs(normal(4)) + 0.5, "fc.w": normal(5, 4), "fc.b": normal(5),
    }  # fmt: skip
    shapes = {"x": (1, 3, 6, 6), "c": (1, 4, 6, 6), "n": (1, 4, 6, 6), "r": (1, 4, 6, 6)}
    shapes |= {"p": (1, 4, 1, 1), "f": (1, 4), "y": (1, 5)}
    shapes |= {name: data.shape for name, data in constants.items()}
    norm = ("c", "gamma", "beta", "mean", "var")
    gemm = {"transB": 1, "alpha": 1.0, "beta": 1.0}
    nodes = (
        Node(name="conv", op="Conv", inputs=("x", "w"), outputs=("c",), attrs={"pads": (1,) * 4}),
        Node(name="bn", op="BatchNormalization", inputs=norm, outputs=("n",)),
        Node(name="relu", op="Relu", inputs=("n",), outputs=("r",)),
        Node(name="pool", op="GlobalAveragePool", inputs=("r",), outputs=("p",)),
        Node(name="flat", op="Flatten", inputs=("p",), outputs=("f",)),
        Node(name="fc", op="Gemm", inputs=("f", "fc.w", "fc.b"), outputs=("y",), attrs=gemm),
    )
    types = {name: TensorType(FLOAT32, shape) for name, shape in shapes.items()}
    graph = Graph(
        name="net", inputs=("x",), outputs=("y",), nodes=nodes, types=types, constants=constants
    )
    return verify(graph)


@pytest.mark.skipif(not MODELS.exists(), reason="the models are not here")
@pytest.mark.parametrize("path", REAL)
def test_real_networks_compute_the_same_before_and_after_the_passes(path, rng):
    options = dict(REAL[path])
    if "weights" in options:
        options["weights"] = MODELS / Path(path).parent / options["weights"]
    imported = load_model(MODELS / path, **options).graph
    for graph in (imported, canonicalize(imported).graph):
        feeds = feeds_of(graph, rng)
        wanted = Runner(graph, threads=1)(feeds)
        for found, name in zip(outputs_of(GraphModule(graph), feeds), wanted, strict=True):
            scale = np.abs(wanted[name]).max()
            np.testing.assert_allclose(found, wanted[name], rtol=1e-4, atol=1e-5 * scale)


def test_outputs_are_the_interpreters(rng):
    for graph in (conv_bn(rng), read_onnx(color_model())):
        feeds = feeds_of(graph, rng)
        wanted = interpret(graph, feeds)
        for found, name in zip(outputs_of(GraphModule(graph), feeds), wanted, strict=True):
            np.testing.assert_allclose(found, wanted[name], rtol=1e-5, atol=1e-5)


def test_a_value_inside_the_network_can_be_returned(rng):
    graph = conv_bn(rng)
    feeds = feeds_of(graph, rng)
    (found,) = outputs_of(GraphModule(graph, outputs=["r"]), feeds)
    np.testing.assert_allclose(found, interpret(graph, feeds, ["r"])["r"], rtol=1e-5, atol=1e-5)
    with pytest.raises(TrainingError, match="no value 'q'"):
        GraphModule(graph, outputs=["q"])


def test_gradients_are_those_of_finite_differences(rng):
    module = GraphModule(conv_bn(rng)).double()
    x = torch.from_numpy(rng.standard_normal((2, 3, 6, 6))).requires_grad_()
    parameters = list(module.parameters())
    assert len(parameters) == 5  # weights, gamma, beta, fc weight and bias

    def function(x, *values):
        names = [name for name, _ in module.named_parameters()]
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(function, (x, *parameters), eps=1e-6, atol=1e-5)


def test_training_moves_the_graph_that_is_given_back_and_nothing_else(rng):
    graph = conv_bn(rng)
    before = {name: data.copy() for name, data in graph.constants.items()}
    module = GraphModule(graph)
    feeds = feeds_of(graph, rng)
    torch.optim.SGD(module.parameters(), lr=0.1)
    module(as_torch(feeds)).square().sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.01 * parameter.grad
    trained = module.to_graph()
    for name, data in before.items():
        assert np.array_equal(graph.constants[name], data)
        assert np.array_equal(trained.constants[name], data) == (name in ("mean", "var"))
    np.testing.assert_allclose(
        outputs_of(module, feeds)[0], interpret(trained, feeds)["y"], rtol=1e-5, atol=1e-5
    )


def test_batch_norm_learns_statistics_only_where_asked_and_only_in_training(rng):
    graph = conv_bn(rng)
    feeds = as_torch(feeds_of(graph, rng, batch=16))
    for batch_norm, moves in (("frozen", False), ("train", True)):
        module = GraphModule(graph, batch_norm=batch_norm)
        module.eval()(feeds)
        assert np.array_equal(module.to_graph().constants["mean"], graph.constants["mean"])
        module.train()(feeds)
        moved = not np.array_equal(module.to_graph().constants["mean"], graph.constants["mean"])
        assert moved == moves
    conv = interpret(graph, {"x": feeds["x"].numpy()}, ["c"])["c"]
    wanted = 0.9 * graph.constants["mean"] + 0.1 * conv.mean((0, 2, 3))
    np.testing.assert_allclose(module.to_graph().constants["mean"], wanted, rtol=1e-4)


def test_an_operator_without_a_gradient_is_named(rng):
    graph = conv_bn(rng)
    nodes = [*graph.nodes[:-1], Node(name="odd", op="Hardmax", inputs=("f",), outputs=("y",))]
    with pytest.raises(TrainingError, match=r"Hardmax node 'odd' cannot be trained through.*Conv"):
        GraphModule(graph.replaced(nodes=nodes))
