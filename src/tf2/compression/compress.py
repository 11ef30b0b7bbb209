"""Float graph and calibration samples -> integer graph: all of compression without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.compression.grid import Gains, RealGains, WeightKind
from tf2.compression.layer import FloatLayer, IntegerLayer, compress_layer, settled_layer
from tf2.compression.report import layer_report, support_report
from tf2.compression.settled import Settled
from tf2.compression.statistics import statistics
from tf2.compression.streams import Streams
from tf2.errors import CompressionError
from tf2.ir import Feature, Graph
from tf2.ir.integer_ops import window
from tf2.model_file.manifest import CompressionSettings, LayerReport, Support
from tf2.passes import canonicalize, expose_pixels
from tf2.passes.linear import bias_of
from tf2.quantization import (
    IntegerGraph,
    Partition,
    Step,
    SumParameters,
    TensorRange,
    measure,
    partition,
)
from tf2.quantization.equalize import equalize
from tf2.quantization.feature_scales import additions_of, choose_all, groups_of_equal_scale

Batch = Mapping[str, np.ndarray]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """An integer network and how it came about.

    Attributes:
        graph: The integer graph.
        float_graph: The canonical float graph it stands for, value by value.
        support: One row for each node of the imported graph.
        layers: One row for each layer with weights.
    """

    graph: Graph
    float_graph: Graph
    support: tuple[Support, ...]
    layers: tuple[LayerReport, ...]


def compress(
    graph: Graph,
    batches: Sequence[Batch],
    settings: CompressionSettings | None = None,
    *,
    pixel_affine: tuple[np.ndarray, np.ndarray] | None = None,
    settled: Settled | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Return the network in integers: 4-bit power-of-two weights, 8-bit features.

    The same graph, batches and settings give the same integers.

    Args:
        graph: Imported, float.
        batches: Calibration samples, inputs by name; all of them are held in memory, and so are
            the values that cross from one layer to the next.
        settings: Default: error-compensated, every layer at 4 bits.
        pixel_affine: (gain, offset) per channel of x = pixel*gain + offset, when the one input is
            an image made of bytes; the array then reads the pixels themselves.
        settled: Scales and codes that a training has found; taken over to the bit.
        progress: Told what is being done and how much of it is done, 0..1.

    Raises:
        CompressionError: No sample; a layer to keep does not exist; NaN or infinity; names it.
    """
    settings = settings or CompressionSettings()
    report = progress or (lambda _stage, _share: None)
    rewritten = canonicalize(graph)
    canonical = rewritten.graph
    if pixel_affine is not None:
        canonical = expose_pixels(canonical, *pixel_affine)
    plan = partition(canonical)
    _check_keep(plan.steps, settings.keep)
    if settled is None:
        canonical, plan, scales = _scaled(canonical, plan, batches, settings, report)
    else:
        scales = settled.scales
    builder = IntegerGraph(canonical, scales)
    streams = Streams(canonical, builder, batches, plan.steps)
    walk = _Walk(canonical, builder, streams, settings, settled)
    for i, step in enumerate(plan.steps):
        report(f"compress {step.node.name}", i / len(plan.steps))
        walk.take(step, batches=len(batches))
        walk.streams.release(i)
    report("compress", 1.0)
    return Compressed(
        graph=builder.finished(),
        float_graph=canonical,
        support=support_report(graph, rewritten, plan),
        layers=tuple(walk.layers),
    )


def _scaled(
    canonical: Graph,
    plan: Partition,
    batches: Sequence[Batch],
    settings: CompressionSettings,
    report: Progress,
) -> tuple[Graph, Partition, Mapping[str, Feature]]:
    """Return the scale of every feature, and the graph (equalized where asked) with its plan."""
    groups = groups_of_equal_scale(canonical, plan)
    features = [name for group in groups for name in group]

    def measured(stage: str) -> dict[str, TensorRange]:
        return measure(canonical, batches, features, lambda share: report(stage, share))

    ranges = measured("calibrate")
    if settings.per_channel:
        canonical = equalize(canonical, plan, groups, ranges)
        plan = partition(canonical)
        ranges = measured("calibrate channels")
    scales = choose_all(groups, ranges, rule=settings.features, additions=additions_of(plan))
    return canonical, plan, scales


def _check_keep(steps: Sequence[Step], keep: Sequence[str]) -> None:
    layers = [step.node.name for step in steps if step.kind == "conv"]
    unknown = [name for name in keep if name not in layers]
    if unknown:
        raise CompressionError(
            f"layer {unknown[0]!r} is to be kept at 8 bits, but there is no such layer. "
            f"Layers with weights: {', '.join(layers)}"
        )


class _Walk:
    """Takes the steps one after the other, in both networks."""

    def __init__(
        self,
        graph: Graph,
        builder: IntegerGraph,
        streams: Streams,
        settings: CompressionSettings,
        settled: Settled | None,
    ) -> None:
        self.graph = graph
        self.builder = builder
        self.streams = streams
        self.settings = settings
        self.settled = settled
        self.layers: list[LayerReport] = []

    def take(self, step: Step, *, batches: int) -> None:
        """Add a step to the integer graph and compute it in both networks."""
        self.streams.run_float(step)
        if step.kind == "conv":
            self.builder.as_bytes(step.node.inputs[0])
            self.streams.run_emitted()
            layer = self._float_layer(step)
            solved = self._solve(step, layer, batches)
            if isinstance(solved.parameters, SumParameters):
                self.builder.add_conv_sums(step, solved.parameters)
            else:
                self.builder.add_conv(step, solved.parameters)
            self.streams.run_emitted()
            self.layers.append(layer_report(step, layer, solved, self.streams))
            return
        add = {
            "add": self.builder.add_elementwise_add,
            "average_pool": self.builder.add_average_pool,
            "move": self.builder.add_move,
            "host": self.builder.add_host,
        }[step.kind]
        add(step)
        self.streams.run_emitted()

    def _float_layer(self, step: Step) -> FloatLayer:
        weight = self.graph.constants[step.node.inputs[1]]
        bias = bias_of(self.graph, step.node)
        assert bias is not None, "partition admits constant biases only"
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise CompressionError(f"layer {step.node.name!r} has weights that are NaN or infinite")
        groups = int(step.node.attr("group", 1))
        return FloatLayer(weight=weight, bias=bias, groups=groups, activation=step.activation)

    def _solve(self, step: Step, layer: FloatLayer, batches: int) -> IntegerLayer:
        settings = self.settings
        kind: WeightKind = "int8" if step.node.name in settings.keep else "pot4"
        x = self.builder.feature(step.node.inputs[0])
        gains = RealGains(x) if step.sums else Gains(x, self.builder.feature(step.output))
        if self.settled is not None:
            return settled_layer(layer, self.settled.layers[step.node.name], gains, kind=kind)
        seen = None
        if settings.method == "compensated" or kind == "int8":
            seen = statistics(
                self.streams.inputs_and_targets(step),
                batches=batches,
                window=window(self.graph, step.node),
                groups=layer.groups,
                rows=settings.rows,
                rng=np.random.default_rng(settings.seed),
            )
        return compress_layer(
            layer,
            gains,
            kind=kind,
            method=settings.method,
            statistics=seen,
            damping=settings.damping,
        )
