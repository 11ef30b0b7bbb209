"""The integer operators of domain "tf2", and the ONNX operators that may act on feature bytes.

tf2.Quantize(x) -> features
    ``saturate(round_half_even(x * 2**frac_bits) + zero_point)`` of a float32 x.
tf2.Dequantize(x) -> float32
    ``(x - zero_point) * 2**-frac_bits``.
tf2.Conv(x, weight, bias, multiplier, shift[, negative_multiplier, negative_shift]) -> features
    Convolution over 0 to 3 spatial axes (0: fully connected), then rescaling and clipping. weight
    int8 (O, C / group, *kernel); bias int32, multiplier and shift int32, (O,). Attributes: group,
    strides, pads (begin..., end...), dilations, low, high (bytes), weight_kind ("pot4": 0 or
    +-2**k; "int8": any byte). The second pair applies to accumulators below zero; its multiplier
    may be negative.
tf2.Conv(x, weight, bias) -> int32
    The accumulators themselves, for a result that leaves the array: the host scales them in float.
tf2.Add(a, b) -> features
    Sum on the finer of the two scales, one rounding; attributes low, high.
tf2.AveragePool(x) -> features
    Window sum times one multiplier; attributes kernel_shape, strides, pads, multiplier, shift.
tf2.AveragePool(x) -> int32
    The sums of values ``b - zero_point`` over whole maps, for a result that leaves the array.

The arithmetic is `tf2.numerics.integer_ops`; scales and zero points are those of the value types.
"""

from __future__ import annotations

from tf2.ir.graph import Graph, Node
from tf2.numerics.integer_ops import Window

DOMAIN = "tf2"

BYTE_MOVERS = frozenset(
    {
        "Concat", "DepthToSpace", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape",
        "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that give out bytes they were given (or the zero point): exact on features."""


def window(graph: Graph, node: Node) -> Window:
    """Return the window of a convolution, fully connected layer or pooling, ceil mode resolved.

    The end pads are those that the last window really needs, so that
    ``Window.output_size`` gives the spatial shape of the node's output.
    """
    size = graph.shape(node.inputs[0])[2:]
    out = graph.shape(node.output)[2:]
    rank = len(size)
    if node.op in ("Conv", "Gemm"):
        kernel = graph.shape(node.inputs[1])[2:]
    else:
        kernel = tuple(node.attr("kernel_shape", (1,) * rank))
    strides = tuple(node.attr("strides", (1,) * rank))
    dilations = tuple(node.attr("dilations", (1,) * rank))
    begin = tuple(node.attr("pads", (0,) * 2 * rank))[:rank]
    end = tuple(
        (o - 1) * s + d * (k - 1) + 1 - n - b
        for o, s, d, k, n, b in zip(out, strides, dilations, kernel, size, begin, strict=True)
    )
    return Window(
        kernel=kernel, strides=strides, pads_begin=begin, pads_end=end, dilations=dilations
    )
