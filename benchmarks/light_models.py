"""The onnx package's "light" ImageNet models (graphs without weights) with realistic weights.

Convolutions get Laplace-distributed weights whose channels differ in strength. Then one walk over
random images normalizes the network: a convolution without BatchNormalization is scaled to outputs
of variance 1 (Mishkin and Matas 2016, arXiv:1511.06422), a BatchNormalization takes the statistics
of its input. So activations neither explode nor vanish, as in a trained network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from tf2.data import PRESETS
from tf2.execution import Runner
from tf2.importers.onnx import read_onnx
from tf2.ir import Graph, Node

FILES = {
    "squeezenet": "light_squeezenet.onnx",
    "googlenet": "light_inception_v1.onnx",
    "resnet50": "light_resnet50.onnx",
}
"""Names of the models, and the files in ``onnx/backend/test/data/light``."""

PREPROCESSING = {
    "squeezenet": "caffe-imagenet-224",
    "googlenet": "caffe-imagenet-224",
    "resnet50": "torch-imagenet",
}
"""How their trained versions read photographs."""

WALK_IMAGES = 4
"""Images that the statistics are taken from: they have 4 * 49 positions at the very least."""


def light_model(name: str, *, seed: int = 0) -> Graph:
    """Return a model of `FILES` with random weights; the same seed gives the same weights."""
    rng = np.random.default_rng(seed)
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    graph = read_onnx(folder / FILES[name], name=name)
    constants = _drawn(graph, rng)
    return _normalized(graph.replaced(constants=constants), inputs(name, WALK_IMAGES, rng))


def inputs(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return random images as the model reads them, (N, 3, 224, 224) float32."""
    recipe = PRESETS[PREPROCESSING[name]]
    return np.stack([recipe.apply(image) for image in pixels(count, rng)])


def pixels(count: int, rng: np.random.Generator, side: int = 224) -> np.ndarray:
    """Return random smooth images, (N, side, side, 3) uint8.

    Their spectrum falls with frequency and their channels are alike, as in photographs.
    """
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    falloff = 1.0 / np.maximum(np.hypot(fy, fx), 1.0 / side)
    noise = rng.standard_normal((count, 3, side, side))
    noise += 2 * rng.standard_normal((count, 1, side, side))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * falloff, s=(side, side))
    smooth -= smooth.mean(axis=(2, 3), keepdims=True)
    smooth /= smooth.std(axis=(1, 2, 3), keepdims=True)
    levels = np.clip(np.rint(smooth * 55 + 118), 0, 255)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1)).astype(np.uint8)


def _drawn(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random parameters for every node that has any, not yet normalized."""
    drawn: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if node.op in ("Conv", "Gemm"):
            weight = graph.constants[node.inputs[1]]
            strength = rng.lognormal(0.0, 0.4, (weight.shape[0],) + (1,) * (weight.ndim - 1))
            drawn[node.inputs[1]] = (rng.laplace(size=weight.shape) * strength).astype(np.float32)
            if node.operand(2):
                drawn[node.inputs[2]] = rng.normal(0, 0.1, weight.shape[0]).astype(np.float32)
        if node.op == "BatchNormalization":
            channels = graph.shape(node.inputs[1])
            drawn[node.inputs[1]] = rng.lognormal(0.0, 0.4, channels).astype(np.float32)
            drawn[node.inputs[2]] = rng.normal(0.1, 0.3, channels).astype(np.float32)
    return drawn


def _normalized(graph: Graph, batch: np.ndarray) -> Graph:
    constants = dict(graph.constants)
    values = {graph.inputs[0]: batch}
    for node in graph.nodes:
        if node.op == "BatchNormalization":
            x = values[node.inputs[0]]
            constants[node.inputs[3]] = x.mean(axis=(0, 2, 3))
            constants[node.inputs[4]] = x.var(axis=(0, 2, 3))
        results = _run(graph, node, constants, values)
        if node.op in ("Conv", "Gemm"):
            scale = 1.0 / results[node.output].std()
            constants[node.inputs[1]] = constants[node.inputs[1]] * scale
            results = _run(graph, node, constants, values)
        values.update(results)
    return graph.replaced(constants=constants)


def _run(
    graph: Graph, node: Node, constants: dict[str, np.ndarray], values: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    part = Graph(
        name=node.name,
        inputs=tuple(dict.fromkeys(name for name in node.inputs if name in values)),
        outputs=tuple(name for name in node.outputs if name in graph.users) or graph.outputs,
        nodes=(node,),
        types=graph.types,
        constants=constants,
    ).replaced()
    return Runner(part)({name: values[name] for name in part.inputs})
