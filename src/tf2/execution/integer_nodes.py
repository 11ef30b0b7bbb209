"""The integer operators as ONNX nodes that give the same integers, bit for bit.

QLinearConv of ONNX Runtime accumulates in int32, multiplies once in float32, rounds half to even
and saturates. With power-of-two feature scales and the shifts that `tf2.ir.verify` admits, that
product is exact wherever the result does not saturate (see `fixed_point.MAX_SHIFT`), so the
integers are ours. What QLinearConv cannot say (a second multiplier below zero) is written out in
float64.

Weights beyond +-64 are stored as uint8 with zero point 128: on CPUs without VNNI, ONNX Runtime's
kernels for int8 weights add two products in 16 bits and saturate there (255 * 127 * 2 > 32767).
Its kernels for uint8 weights do not, at 1.1-1.4 times the cost there. Power-of-two weights
(255 * 64 * 2 = 32640) keep the fast kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf2.execution.emitter import Emitter
from tf2.execution.image_layer import ImageLayer, rearranged
from tf2.ir import Feature, Graph, Node
from tf2.ir.integer_ops import window
from tf2.numerics.fixed_point import BYTE_MAX, BYTE_MIN
from tf2.numerics.integer_ops import Window

MS = "com.microsoft"

SAFE_WEIGHT = 64
"""Largest int8 weight of which two products with a feature of 255 fit 16 bits."""

MOST_AVERAGED = 2**16
"""Positions of a map whose sum, and count times multiplier, are integers below 2**24."""

SMALLEST_AVERAGE = 2.0**-32
"""Least multiplier that QLinearGlobalAveragePool takes."""


def emit(emitter: Emitter, graph: Graph, node: Node) -> None:
    """Write one node of domain "tf2"; value names are kept, features as uint8."""
    _EMITTERS[node.op](emitter, graph, node)


def _feature(graph: Graph, name: str) -> Feature:
    dtype = graph.types[name].dtype
    assert isinstance(dtype, Feature)
    return dtype


class _Format:
    """Scale and zero point of a feature tensor, as ONNX constants."""

    def __init__(self, emitter: Emitter, name: str, feature: Feature) -> None:
        self.scale = emitter.constant(f"{name}.scale", np.float32(feature.scale))
        self.zero_point = emitter.constant(f"{name}.zero", np.uint8(feature.zero_point + 128))

    @property
    def pair(self) -> list[str]:
        return [self.scale, self.zero_point]


def _quantize(emitter: Emitter, graph: Graph, node: Node) -> None:
    form = _Format(emitter, node.name, _feature(graph, node.output))
    inputs = [node.inputs[0], *form.pair]
    emitter.node("QuantizeLinear", inputs, node.output, name=node.name)


def _dequantize(emitter: Emitter, graph: Graph, node: Node) -> None:
    form = _Format(emitter, node.name, _feature(graph, node.inputs[0]))
    emitter.node("DequantizeLinear", [node.inputs[0], *form.pair], node.output, name=node.name)


def _add(emitter: Emitter, graph: Graph, node: Node) -> None:
    a, b = node.inputs
    forms = [
        _Format(emitter, f"{node.name}.{which}", _feature(graph, name))
        for which, name in (("a", a), ("b", b), ("y", node.output))
    ]
    inputs = [a, *forms[0].pair, b, *forms[1].pair, *forms[2].pair]
    raw = _unclipped(node)
    emitter.node("QLinearAdd", inputs, raw, name=node.name, domain=MS)
    _clip(emitter, node, raw)


def _conv(emitter: Emitter, graph: Graph, node: Node) -> None:
    if len(node.inputs) == 3:
        _accumulators(emitter, graph, node, node.output)
        return
    if node.operand(5):
        _wide_conv(emitter, graph, node)
        return
    x, y = _feature(graph, node.inputs[0]), _feature(graph, node.output)
    weight, bias, multiplier, shift = (graph.constants[name] for name in node.inputs[1:])
    weight_scale = np.ldexp(multiplier.astype(np.float32), -shift) * np.float32(y.scale / x.scale)
    raw = _unclipped(node)
    rank = len(graph.shape(node.output)) - 2
    if rank == 0:
        _qgemm(emitter, graph, node, weight, weight_scale.astype(np.float32), raw)
    else:
        image = _image_layer(emitter, graph, node)
        _qlinear_conv(
            emitter,
            name=node.name,
            x=(image.x if image else node.inputs[0], x),
            weight=_stored_weight(
                emitter, node.name, image.weight if image else weight, zeros=bias.shape
            ),
            weight_scale=weight_scale.astype(np.float32),
            bias=emitter.constant(f"{node.name}.bias", bias.astype(np.int32)),
            y=(raw, y),
            window=image.window if image else window(graph, node),
            groups=int(node.attr("group", 1)),
            channels_last=image is not None,
        )
    _clip(emitter, node, raw)


def _image_layer(emitter: Emitter, graph: Graph, node: Node) -> ImageLayer | None:
    """Return a layer that reads an image in the form of `image_layer`, where that is faster."""
    producer = graph.producers.get(node.inputs[0])
    weight = graph.constants[node.inputs[1]]
    inside = producer is not None and producer.kind != "tf2.Quantize"
    if inside or weight.ndim != 4 or int(node.attr("group", 1)) != 1 or not _is_safe(weight):
        return None
    layer = ImageLayer(
        x=node.inputs[0],
        weight=weight,
        window=window(graph, node),
        size=graph.shape(node.inputs[0])[2:],
    )
    zero = np.uint8(_feature(graph, node.inputs[0]).zero_point + 128)
    return rearranged(emitter, layer, name=node.name, zero_point=zero)


def _qlinear_conv(
    emitter: Emitter,
    *,
    name: str,
    x: tuple[str, Feature],
    weight: tuple[str, str],
    weight_scale: np.ndarray,
    bias: str,
    y: tuple[str, Feature],
    window: Window,
    groups: int,
    channels_last: bool = False,
) -> None:
    inputs = [
        x[0],
        *_Format(emitter, f"{name}.x", x[1]).pair,
        weight[0],
        emitter.constant(f"{name}.weight_scale", weight_scale),
        weight[1],
        *_Format(emitter, f"{name}.y", y[1]).pair,
        bias,
    ]
    attrs = _conv_attrs(window, groups)
    if not channels_last:
        emitter.node("QLinearConv", inputs, y[0], name=name, **attrs)
        return
    last = f"{name}~y_nhwc"
    emitter.node("QLinearConv", inputs, last, name=name, domain=MS, channels_last=1, **attrs)
    emitter.node("Transpose", [last], y[0], name=f"{name}.nchw", perm=[0, 3, 1, 2])


def _channel_shape(rank: int) -> tuple[int, ...]:
    """Return the shape that lines (C,) up with axis 1 of a tensor of that rank."""
    return (-1,) + (1,) * (rank - 2)


def _is_safe(weight: NDArray[np.int8]) -> bool:
    return np.abs(weight.astype(np.int16)).max(initial=0) <= SAFE_WEIGHT


def _stored_weight(
    emitter: Emitter, name: str, weight: NDArray[np.int8], *, zeros: tuple[int, ...] = ()
) -> tuple[str, str]:
    """Add the weights in the form that every kernel sums exactly, and their zero of shape zeros."""
    offset = 0 if _is_safe(weight) else 128
    dtype = np.uint8 if offset else np.int8
    stored = (weight.astype(np.int16) + offset).astype(dtype)
    zero = emitter.constant(f"{name}.weight_zero", np.full(zeros, offset, dtype))
    return emitter.constant(f"{name}.weight", np.ascontiguousarray(stored)), zero


def _conv_attrs(window: Window, groups: int) -> dict[str, Any]:
    ends = [max(end, 0) for end in window.pads_end]
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": [*window.pads_begin, *ends],
        "dilations": list(window.dilations),
        "group": groups,
    }


def _qgemm(
    emitter: Emitter,
    graph: Graph,
    node: Node,
    weight: np.ndarray,
    weight_scale: np.ndarray,
    output: str,
) -> None:
    bias = graph.constants[node.inputs[2]].astype(np.int32)
    stored, zero = _stored_weight(emitter, node.name, weight.T, zeros=bias.shape)
    inputs = [
        node.inputs[0],
        *_Format(emitter, f"{node.name}.x", _feature(graph, node.inputs[0])).pair,
        stored,
        emitter.constant(f"{node.name}.weight_scale", weight_scale),
        zero,
        emitter.constant(f"{node.name}.bias", bias),
        *_Format(emitter, f"{node.name}.y", _feature(graph, node.output)).pair,
    ]
    emitter.node("QGemm", inputs, output, name=node.name, domain=MS)


def _accumulators(emitter: Emitter, graph: Graph, node: Node, output: str) -> str:
    """Write the int32 accumulators of a convolution or fully connected layer."""
    weight, bias = (graph.constants[n] for n in node.inputs[1:3])
    rank = weight.ndim - 2
    name = node.name
    x = _feature(graph, node.inputs[0])
    zero = emitter.constant(f"{name}.x_zero", np.uint8(x.zero_point + 128))
    if rank:
        weights, weight_zero = _stored_weight(emitter, name, weight)
        attrs = _conv_attrs(window(graph, node), int(node.attr("group", 1)))
        operands = [node.inputs[0], weights, zero, weight_zero]
        products = emitter.node("ConvInteger", operands, f"{output}~sum", name=name, **attrs)
    else:
        weights, weight_zero = _stored_weight(emitter, name, weight.T)
        operands = [node.inputs[0], weights, zero, weight_zero]
        products = emitter.node("MatMulInteger", operands, f"{output}~sum", name=name)
    biases = emitter.constant(
        f"{name}.bias", bias.astype(np.int32).reshape(_channel_shape(weight.ndim))
    )
    return emitter.node("Add", [products, biases], output, name=f"{name}.acc")


def _wide_conv(emitter: Emitter, graph: Graph, node: Node) -> None:
    """Write accumulators as int32 and rescale in float64, where 40-bit products are exact."""
    y = _feature(graph, node.output)
    m, s, negative_m, negative_s = (graph.constants[n] for n in node.inputs[3:])
    shape = _channel_shape(len(graph.shape(node.output)))
    name, out = node.name, node.output
    acc = _accumulators(emitter, graph, node, f"{out}~acc")

    def step(op: str, inputs: list[str], suffix: str, **attrs: Any) -> str:
        return emitter.node(op, inputs, f"{out}~{suffix}", name=f"{name}.{suffix}", **attrs)

    def factor(which: str, multiplier: np.ndarray, shift: np.ndarray) -> str:
        value = np.ldexp(multiplier.astype(np.float64), -shift).reshape(shape)
        return emitter.constant(f"{name}.{which}", value)

    below = step("Less", [acc, emitter.constant(f"{name}.nil", np.int32(0))], "below")
    scale = step("Where", [below, factor("neg", negative_m, negative_s), factor("pos", m, s)], "m")
    real = step("Mul", [step("Cast", [acc], "wide", to=11), scale], "scaled")
    moved = step(
        "Add",
        [step("Round", [real], "rounded"), emitter.constant(f"{name}.z", np.float64(y.zero_point))],
        "moved",
    )
    bounds = [
        emitter.constant(f"{name}.{which}", np.float64(node.attr(which, default)))
        for which, default in (("low", BYTE_MIN), ("high", BYTE_MAX))
    ]
    clipped = step("Clip", [moved, *bounds], "clipped")
    offset = emitter.constant(f"{name}.offset", np.float64(128))
    shifted = step("Add", [clipped, offset], "byte")
    emitter.node("Cast", [shifted], out, name=f"{name}.cast", to=2)


def _map_sums(emitter: Emitter, graph: Graph, node: Node) -> None:
    """Write the int32 sums of whole maps: a product with ones, half the time of Cast, ReduceSum."""
    x = _feature(graph, node.inputs[0])
    shape, name = graph.shape(node.inputs[0]), node.name
    size = int(np.prod(shape[2:]))
    flat = emitter.constant(f"{name}.flat", np.array([0, shape[1], size]))
    maps = emitter.node(
        "Reshape", [node.inputs[0], flat], f"{node.output}~maps", name=f"{name}.maps"
    )
    ones = emitter.constant(f"{name}.ones", np.ones((size, 1), dtype=np.uint8))
    zero = emitter.constant(f"{name}.zero", np.uint8(x.zero_point + 128))
    sums = emitter.node(
        "MatMulInteger", [maps, ones, zero], f"{node.output}~sums", name=f"{name}.sums"
    )
    kept = emitter.constant(f"{name}.kept", np.array([0, shape[1], *[1] * (len(shape) - 2)]))
    emitter.node("Reshape", [sums, kept], node.output, name=name)


def _average_pool(emitter: Emitter, graph: Graph, node: Node) -> None:
    """Write window sums with one multiplier: of whole maps, or by a depthwise convolution of ones.

    QLinearGlobalAveragePool multiplies the int32 sum of n bytes by the float32 quotient
    ``x_scale / (y_scale * n)``. With ``n * multiplier / 2**shift`` for x_scale and 1 for y_scale,
    all steps are exact and the quotient is our multiplier.
    """
    if not isinstance(graph.types[node.output].dtype, Feature):
        _map_sums(emitter, graph, node)
        return
    x, y = _feature(graph, node.inputs[0]), _feature(graph, node.output)
    win = window(graph, node)
    size = graph.shape(node.inputs[0])[2:]
    factor = float(np.ldexp(float(node.attr("multiplier", 1)), -int(node.attr("shift", 0))))
    count = int(np.prod(size))
    whole = win.kernel == size and not any((*win.pads_begin, *win.pads_end))
    if whole and count <= MOST_AVERAGED and factor >= SMALLEST_AVERAGE:
        scales = emitter.constant(f"{node.name}.sum_scale", np.float32(count * factor))
        one = emitter.constant(f"{node.name}.one", np.float32(1))
        zeros = [
            _Format(emitter, f"{node.name}.{k}", f).zero_point for k, f in (("x", x), ("y", y))
        ]
        inputs = [node.inputs[0], scales, zeros[0], one, zeros[1]]
        emitter.node("QLinearGlobalAveragePool", inputs, node.output, name=node.name, domain=MS)
        return
    channels = graph.shape(node.output)[1]
    ones = np.ones((channels, 1, *win.kernel), np.int8)
    _qlinear_conv(
        emitter,
        name=node.name,
        x=(node.inputs[0], x),
        weight=_stored_weight(emitter, node.name, ones, zeros=(channels,)),
        weight_scale=np.full(
            channels, np.float32(factor) * np.float32(y.scale / x.scale), np.float32
        ),
        bias=emitter.constant(f"{node.name}.bias", np.zeros(channels, np.int32)),
        y=(node.output, y),
        window=win,
        groups=channels,
    )


def _unclipped(node: Node) -> str:
    """Return where an operator writes: aside, when an activation clips its bytes afterwards."""
    return f"{node.output}~raw" if _bounds(node) != (BYTE_MIN, BYTE_MAX) else node.output


def _bounds(node: Node) -> tuple[int, int]:
    return int(node.attr("low", BYTE_MIN)), int(node.attr("high", BYTE_MAX))


def _clip(emitter: Emitter, node: Node, raw: str) -> None:
    if raw == node.output:
        return
    low, high = (
        emitter.constant(f"{node.name}.{which}", np.uint8(bound + 128))
        for which, bound in zip(("low", "high"), _bounds(node), strict=True)
    )
    emitter.node("Clip", [raw, low, high], node.output, name=f"{node.name}.clip")


_EMITTERS: Mapping[str, Callable[[Emitter, Graph, Node], None]] = {
    "Quantize": _quantize,
    "Dequantize": _dequantize,
    "Conv": _conv,
    "Add": _add,
    "AveragePool": _average_pool,
}
