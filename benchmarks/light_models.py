"""The onnx package's "light" ImageNet models (graphs without weights) with realistic weights.

Convolutions get Laplace-distributed weights whose channels differ in strength. Then one walk over
random images normalizes the network: a convolution without BatchNormalization is scaled to outputs
of variance 1 (Mishkin and Matas 2016, arXiv:1511.06422), a BatchNormalization takes the statistics
of its input. So activations neither explode nor vanish, as in a trained network.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from tf2.data import PRESETS
from tf2.execution import Runner
from tf2.importers.onnx import read_onnx
from tf2.ir import Graph, Node

FILES = {
    "squeezenet": "light_squeezenet.onnx",
    "squeezenet-160": "light_squeezenet.onnx",
    "googlenet": "light_inception_v1.onnx",
    "googlenet-without-lrn": "light_inception_v1.onnx",
    "resnet50": "light_resnet50.onnx",
    "alexnet": "light_bvlc_alexnet.onnx",
    "alexnet-without-lrn": "light_bvlc_alexnet.onnx",
    "vgg16": "light_vgg19.onnx",
}
"""Names of the models, and the files in ``onnx/backend/test/data/light``."""

PREPROCESSING = dict.fromkeys(FILES, "caffe-imagenet-224") | {"resnet50": "torch-imagenet"}
"""How their trained versions read photographs."""

SIDES = {"squeezenet-160": 160}
"""Height and width of the images, where they are not 224."""

VGG19_ONLY = ("conv3_4_w_0", "conv4_4_w_0", "conv5_4_w_0")
"""Weights of the convolutions that VGG-19 has and VGG-16 has not."""

WALK_IMAGES = 4
"""Images that the statistics are taken from: they have 4 * 49 positions at the very least."""


def light_model(name: str, *, seed: int = 0) -> Graph:
    """Return a model of `FILES` with random weights; the same seed gives the same weights."""
    rng = np.random.default_rng(seed)
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    proto = onnx.load(folder / FILES[name])
    shape = (1, 3, SIDES.get(name, 224), SIDES.get(name, 224))
    initialized = {initializer.name for initializer in proto.graph.initializer}
    data = next(i.name for i in proto.graph.input if i.name not in initialized)
    graph = _variant(read_onnx(proto, name=name, input_shapes={data: shape}), name)
    constants = _drawn(graph, rng)
    return _normalized(graph.replaced(constants=constants), inputs(name, WALK_IMAGES, rng))


def inputs(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return random images as the model reads them, (N, 3, side, side) float32."""
    recipe = PRESETS[PREPROCESSING[name]]
    side = SIDES.get(name, 224)
    images = np.stack([recipe.apply(image) for image in pixels(count, rng)])
    return np.ascontiguousarray(images[:, :, :side, :side])


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


def _variant(graph: Graph, name: str) -> Graph:
    """Return the graph without the nodes that this model leaves out of its file's."""

    def left_out(node: Node) -> bool:
        if name.endswith("-without-lrn") and node.op == "LRN":
            return True
        before = graph.producers.get(node.inputs[0]) if node.op == "Relu" else node
        extra = before is not None and before.op == "Conv" and before.inputs[1] in VGG19_ONLY
        return name == "vgg16" and extra

    stands_for: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(stands_for.get(value, value) for value in node.inputs)
        if left_out(node):
            stands_for[node.output] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return graph.replaced(nodes=nodes)


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
