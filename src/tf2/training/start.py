"""Where training starts from: the float network, its grids, and the scales of its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tf2.compression import Settled, compress, settled_of
from tf2.compression.compress import Batch, Progress
from tf2.compression.exact import pruned
from tf2.compression.grid import Gains, RealGains
from tf2.errors import TrainingError
from tf2.ir import FLOAT32, Feature, Graph, Node, TensorType, verify
from tf2.model_file.manifest import CompressionSettings, Support
from tf2.passes import canonicalize
from tf2.passes.linear import bias_of
from tf2.quantization import Step, partition
from tf2.training.grid import GRIDS
from tf2.training.int8_features import FeaturePlan, feature_plan
from tf2.training.pixels import Pixels, centre_node, centred

Window = Literal["gain", "channel", "layer"]

Affine = tuple[np.ndarray, np.ndarray]

Figures = tuple[Mapping[str, np.ndarray], "tuple[LayerStart, ...]", Mapping[str, Feature]]


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerStart:
    """One layer with weights.

    Attributes:
        node: Its name.
        alpha: Gain of each row, (O,): weights on the grid are alpha * q.
        x: Scale of its input.
        y: Scale of its output; None where its sums leave the array.
        pixels: Units of its input, where the array reads pixels there.
        activation: The node with a slope below zero that is fused behind it; "" for none.
        slope_trains: That slope is a parameter.
        kept: It stays at 8 bits.
        pruned: Weights that are zero and stay so, bool (O, I, ...); None where none are.
    """

    node: str
    alpha: np.ndarray
    x: Feature
    y: Feature | None
    pixels: Pixels | None
    activation: str
    slope_trains: bool
    kept: bool
    pruned: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """A network about to be trained.

    Attributes:
        graph: What is trained: canonical and float, on pixels where the array reads them; each
            layer has a weight and a bias of its own, which are those training starts from.
        float_graph: Canonical, with the float weights; the same function of the same inputs.
        planned: As the array would run it, pixels exposed: what the feature scales are of.
        layers: In order.
        scales: Of every feature.
        support: Where each node of the imported graph runs.
        settings: Of the compression it starts from.
        pixel_affine: As in `tf2.compression.compress`.
    """

    graph: Graph
    float_graph: Graph
    planned: Graph
    layers: tuple[LayerStart, ...]
    scales: Mapping[str, Feature]
    support: tuple[Support, ...]
    settings: CompressionSettings
    pixel_affine: Affine | None

    def features(self) -> FeaturePlan:
        """Return where values are bytes while the network is trained."""
        plan = feature_plan(self.planned, self.scales)
        readers = {n.node: centre_node(n.node) for n in self.layers if n.pixels is not None}
        reads = {readers.get(node, node): values for node, values in plan.reads.items()}
        return replace(plan, reads=reads)

    def figures(self) -> Figures:
        """Return what calibration has found, picklable: one process tells it to the others."""
        return dict(self.graph.constants), self.layers, dict(self.scales)

    def with_figures(self, figures: Figures) -> Start:
        """Return the start with what another process has found."""
        constants, layers, scales = figures
        graph = self.graph.replaced(constants=constants)
        return replace(self, graph=graph, layers=layers, scales=scales)


def start_of(
    graph: Graph,
    batches: Sequence[Batch],
    settings: CompressionSettings,
    *,
    compensated: bool = True,
    window: Window = "gain",
    bits: int = 4,
    pixel_affine: Affine | None = None,
    progress: Progress | None = None,
) -> Start:
    """Return the start of a training.

    Args:
        graph: Imported, float.
        batches: Calibration samples.
        settings: Layers to keep at 8 bits, rule of feature scales, seed, ...
        compensated: Start from the error-compensated weights, which are on the grid, and their
            gains; otherwise from the float weights.
        window: Without ``compensated``: one power of two for each layer (the original's), for each
            output channel, or the gain of least weight error for each output channel.
        bits: Of the weights, 2 to 5.
        pixel_affine: As in `tf2.compression.compress`.
        progress: As there.

    Raises:
        TrainingError: Settings that exclude each other, or nothing to train.
    """
    if settings.per_channel:
        raise TrainingError("features with a scale for each channel cannot be trained with")
    if compensated and bits != 4:
        raise TrainingError(f"error-compensated weights have 4 bits: start at float for {bits}")
    method = "compensated" if compensated else "nearest"
    chosen = settings.model_copy(update={"method": method})
    compressed = compress(graph, batches, chosen, pixel_affine=pixel_affine, progress=progress)
    settled = settled_of(compressed.graph)
    planned = compressed.float_graph
    trained = with_own_parameters(planned)
    steps = [step for step in partition(trained).steps if step.kind == "conv"]
    if not steps:
        raise TrainingError(f"{graph.name!r} has no layer with weights that the array could run")
    base = with_own_parameters(canonicalize(graph).graph)
    layers: list[LayerStart] = []
    constants: dict[str, np.ndarray] = {}
    for step in steps:
        name = step.node.name
        pixels = _pixels(step.node, base.node(name), settled, pixel_affine)
        layer = _layer_start(step, settled, pixels, name in settings.keep)
        weight, bias = (base.constants[n] for n in base.node(name).inputs[1:3])
        wide, wide_bias = (weight, bias) if pixels is None else pixels.from_model(weight, bias)
        layer = replace(layer, pruned=pruned(wide))
        if compensated or layer.kept:
            wide, wide_bias = _compensated(layer, settled, compressed.graph, wide.shape)
        else:
            gains = _window_gains(wide.reshape(len(wide), -1), window, bits)
            layer = replace(layer, alpha=_met(gains, layer))
        constants[step.node.inputs[1]] = wide.astype(np.float32)
        constants[step.node.inputs[2]] = wide_bias.astype(np.float32)
        if pixels is not None:
            trained = centred(trained, trained.node(name), pixels)
        layers.append(layer)
    return Start(
        graph=trained.replaced(constants=constants),
        float_graph=base,
        planned=planned,
        layers=tuple(layers),
        scales=settled.scales,
        support=compressed.support,
        settings=chosen,
        pixel_affine=pixel_affine,
    )


def with_own_parameters(graph: Graph) -> Graph:
    """Return the graph with weight, bias and slope of its own for each layer of the array.

    Leaky ReLU behind a layer becomes a PReLU, whose slope is held by channel.
    """
    steps = [step for step in partition(graph).steps if step.kind == "conv"]
    names = {step.node.name for step in steps}
    slopes = {n.name: s.activation.slope for s in steps for n in s.fused}
    nodes: list[Node] = []
    constants: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        slope = slopes.get(node.name)
        if slope is not None:
            shape = graph.shape(node.output)[1:]
            wide = np.broadcast_to(slope, shape[:1]).reshape(-1, *[1] * (len(shape) - 1))
            own = (f"{node.name}.own_slope",)
            constants[own[0]] = wide.astype(np.float32)
            node = replace(node, op="PRelu", inputs=(node.inputs[0], *own), attrs={})
        if node.name not in names:
            nodes.append(node)
            continue
        bias = bias_of(graph, node)
        assert bias is not None, "partition admits constant biases only"
        own = (f"{node.name}.own_weight", f"{node.name}.own_bias")
        constants[own[0]] = np.array(graph.constants[node.inputs[1]], np.float32)
        constants[own[1]] = bias.astype(np.float32)
        nodes.append(replace(node, inputs=(node.inputs[0], *own)))
    types = {name: TensorType(FLOAT32, data.shape) for name, data in constants.items()}
    return verify(graph.replaced(nodes=nodes, types=types, constants=constants))


def _pixels(
    node: Node, of_model: Node, settled: Settled, pixel_affine: Affine | None
) -> Pixels | None:
    """Return the units of the pixels that a layer reads on the array, None if it does not."""
    if pixel_affine is None or node.inputs[0] == of_model.inputs[0]:
        return None
    return Pixels.of(*pixel_affine, settled.scales[node.inputs[0]])


def _layer_start(step: Step, settled: Settled, pixels: Pixels | None, kept: bool) -> LayerStart:
    slopes = [node for node in step.fused if step.activation.slope is not None]
    alpha = settled.layers[step.node.name].alpha
    return LayerStart(
        node=step.node.name,
        alpha=alpha if pixels is None else np.ldexp(alpha, pixels.shift),
        x=settled.scales[step.node.inputs[0]] if pixels is None else pixels.input,
        y=None if step.sums else settled.scales[step.output],
        pixels=pixels,
        activation=slopes[0].name if slopes else "",
        slope_trains=bool(slopes) and slopes[0].op == "PRelu",
        kept=kept,
    )


def _compensated(
    layer: LayerStart, settled: Settled, integers: Graph, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias of a layer of the integer network, as the reals they stand for."""
    q = settled.layers[layer.node].q
    wide = q * layer.alpha[:, None]
    steps = integers.constants[integers.node(layer.node).inputs[2]].astype(np.float64)
    if layer.pixels is not None:
        steps = steps + layer.pixels.centre / layer.pixels.feature.scale * q.astype(float).sum(1)
    return wide.reshape(shape), steps * layer.alpha * layer.x.scale


def _met(alpha: np.ndarray, layer: LayerStart) -> np.ndarray:
    gains = RealGains(layer.x) if layer.y is None else Gains(layer.x, layer.y)
    return gains.rounded(alpha)


def _window_gains(rows: np.ndarray, window: Window, bits: int) -> np.ndarray:
    """Return the gain of each row, (O,), by weights alone."""
    largest = GRIDS[bits].largest
    each = np.maximum(np.abs(rows).max(axis=1), 1e-30)
    top = np.full(len(rows), each.max()) if window == "layer" else each
    powers = np.exp2(np.floor(np.log2(4 / 3 * top))) / largest
    return _least_error(rows, each / largest, bits) if window == "gain" else powers


def _least_error(rows: np.ndarray, largest: np.ndarray, bits: int) -> np.ndarray:
    """Return the gain that rounds each row best, of 32 over two octaves around the largest."""
    import torch

    grid = GRIDS[bits]
    best, gain = np.full(len(rows), np.inf), largest.copy()
    for octave in np.linspace(-1.5, 0.6, 32):
        alpha = largest * 2.0**octave
        q = grid.rounded(torch.from_numpy(rows / alpha[:, None])).numpy()
        refit = (q * rows).sum(1) / np.maximum(np.square(q).sum(1), 1e-30)
        alpha = np.where(refit > 0, refit, alpha)
        error = np.square(rows - q * alpha[:, None]).sum(1)
        gain = np.where(error < best, alpha, gain)
        best = np.minimum(best, error)
    return gain
