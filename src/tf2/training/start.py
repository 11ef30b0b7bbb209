"""Where training starts from: the float network, its grids, and the scales of its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tf2.compression import Settled, compress, settled_of
from tf2.compression.compress import Batch, Progress
from tf2.compression.grid import Gains, RealGains
from tf2.errors import TrainingError
from tf2.ir import FLOAT32, Feature, Graph, Node, TensorType, verify
from tf2.model_file.manifest import CompressionSettings, Support
from tf2.numerics import fixed_point
from tf2.passes import canonicalize
from tf2.passes.linear import bias_of
from tf2.quantization import Step, partition
from tf2.training.grid import GRIDS
from tf2.training.int8_features import FeaturePlan, feature_plan

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
        column: What a weight is multiplied by before it is on the grid, by input channel; None
            for 1. The first layer reads pixels on the array, normalized pixels in training.
        offset: Of the normalized pixels, by input channel; None for 0.
        border: What such a layer sees beyond the image, by input channel: the pixel nearest to 0.
        activation: The node with a slope below zero that is fused behind it; "" for none.
        slope_trains: That slope is a parameter.
        kept: It stays at 8 bits.
    """

    node: str
    alpha: np.ndarray
    x: Feature
    y: Feature | None
    column: np.ndarray | None
    offset: np.ndarray | None
    border: np.ndarray | None
    activation: str
    slope_trains: bool
    kept: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """A network about to be trained.

    Attributes:
        graph: Canonical and float; each layer has a weight and a bias of its own, which are those
            training starts from.
        float_graph: The same with the float weights.
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
        borders = {n.node: n.border for n in self.layers if n.border is not None}
        return feature_plan(self.planned, self.scales, borders)

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
    base = with_own_parameters(canonicalize(graph).graph)
    planned = compressed.float_graph
    steps = {s.node.name: s for s in partition(planned).steps if s.kind == "conv"}
    if not steps:
        raise TrainingError(f"{graph.name!r} has no layer with weights that the array could run")
    layers: list[LayerStart] = []
    constants: dict[str, np.ndarray] = {}
    for node in base.nodes:
        step = steps.get(node.name)
        if step is None:
            continue
        rows = base.constants[node.inputs[1]]
        column, offset = _pixel_scale(node, step.node, pixel_affine)
        kept = node.name in settings.keep
        layer = _layer_start(step, settled, column, offset, kept)
        if compensated or kept:
            codes = settled.layers[node.name]
            integer = compressed.graph.node(node.name)
            bias = compressed.graph.constants[integer.inputs[2]] * codes.alpha * layer.x.scale
            wide = (codes.q * codes.alpha[:, None]).reshape(rows.shape) / by_column(
                column, rows.ndim
            )
            wide_bias = bias - moved_bias(wide, offset)
            constants[node.inputs[1]] = wide.astype(np.float32)
            constants[node.inputs[2]] = wide_bias.astype(np.float32)
        else:
            on_grid = (rows * by_column(column, rows.ndim)).reshape(len(rows), -1)
            layer = replace(layer, alpha=_met(_window_gains(on_grid, window, bits), layer))
        layers.append(layer)
    return Start(
        graph=base.replaced(constants=constants),
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


def by_column(column: np.ndarray | None, rank: int) -> np.ndarray:
    """Return a factor for each input channel in the shape of a weight; 1 for None."""
    return np.ones(()) if column is None else column.reshape(1, -1, *[1] * (rank - 2))


def moved_bias(weight: np.ndarray, offset: np.ndarray | None) -> np.ndarray | float:
    """Return what an offset of the inputs adds to the bias of each row, (O,)."""
    if offset is None:
        return 0.0
    return (weight * by_column(offset, weight.ndim)).reshape(len(weight), -1).sum(1)


def _pixel_scale(
    node: Node, planned: Node, pixel_affine: Affine | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return (gain, offset) of the pixels that a layer reads on the array, None if it does not."""
    if pixel_affine is None or node.inputs[0] == planned.inputs[0]:
        return None, None
    gain, offset = (np.asarray(a, np.float64) for a in pixel_affine)
    return gain, offset


def _layer_start(
    step: Step,
    settled: Settled,
    column: np.ndarray | None,
    offset: np.ndarray | None,
    kept: bool,
) -> LayerStart:
    x = settled.scales[step.node.inputs[0]]
    slopes = [node for node in step.fused if step.activation.slope is not None]
    return LayerStart(
        node=step.node.name,
        alpha=settled.layers[step.node.name].alpha,
        x=x,
        y=None if step.sums else settled.scales[step.output],
        column=column,
        offset=offset,
        border=None if column is None or offset is None else _border(x, column, offset),
        activation=slopes[0].name if slopes else "",
        slope_trains=bool(slopes) and slopes[0].op == "PRelu",
        kept=kept,
    )


def _border(x: Feature, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    pixel = (-offset / gain).astype(np.float32)
    stored = fixed_point.quantize(pixel, x.frac_bits, x.zero_point)
    return fixed_point.dequantize(stored, x.frac_bits, x.zero_point) * gain + offset


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
