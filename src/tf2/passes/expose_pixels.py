"""Raw pixels as the first layer's input: the preprocessing's mean and scale in its weights.

A model reads x = pixel*gain + offset. The array reads bytes, and pixels are bytes: the graph gets
pixel = (x - offset)/gain at its input, and the first convolution w*gain and b + sum(w)*offset.
Padding of x with 0 becomes padding of the image with the pixel that x = 0 stands for, before it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf2.ir import FLOAT32, Graph, Node, TensorType, verify
from tf2.ir.rewriter import Rewriter
from tf2.passes.linear import bias_of, with_parameters

NHWC_TO_NCHW = (0, 3, 1, 2)


def expose_pixels(graph: Graph, gain: np.ndarray, offset: np.ndarray) -> Graph:
    """Return the graph with its first convolution on pixels 0..255, else the graph as it is.

    Same function up to float rounding. Applies when the one graph input (N, C, H, W), or its
    transposition from (N, H, W, C), is read by one ungrouped convolution and by nothing else.

    Args:
        graph: Canonical.
        gain: (C,), of x = pixel*gain + offset; no zeros.
        offset: (C,).
    """
    if len(graph.inputs) != 1:
        return graph
    x = graph.inputs[0]
    conv = graph.sole_user(x)
    if conv is not None and conv.kind == "Transpose" and conv.attr("perm", ()) == NHWC_TO_NCHW:
        x = conv.output
        conv = graph.sole_user(x)
    shape = graph.shape(x)
    if conv is None or conv.kind != "Conv" or int(conv.attr("group", 1)) != 1:
        return graph
    weight, bias = graph.constant(conv.inputs[1]), bias_of(graph, conv)
    if weight is None or bias is None or len(shape) != 4 or len(gain) != shape[1]:
        return graph
    rewriter = Rewriter(graph)
    wide = weight.astype(np.float64)
    on_pixels = wide * gain.reshape(1, -1, 1, 1)
    moved_bias = bias + np.einsum("oihw,i->o", wide, offset)
    front, source, types = _pixel_nodes(rewriter, conv, gain, offset)
    new = with_parameters(rewriter, conv, on_pixels, moved_bias, output=conv.output)
    new = replace(new, inputs=(source, *new.inputs[1:])).with_attrs(pads=(0,) * 4)
    rewriter.replace([conv], [*front, new], types=types)
    return verify(rewriter.graph)


def _pixel_nodes(
    rewriter: Rewriter, conv: Node, gain: np.ndarray, offset: np.ndarray
) -> tuple[list[Node], str, dict[str, TensorType]]:
    """Return the host nodes from x to pixels (padded), the value they end in, and new types."""
    x = source = conv.inputs[0]
    n, c, h, w = rewriter.graph.shape(x)
    top, left, bottom, right = conv.attr("pads", (0, 0, 0, 0))
    nodes: list[Node] = []
    types: dict[str, TensorType] = {}

    def append(op: str, operands: tuple[str, ...], result: str, shape: tuple[int, ...]) -> str:
        types[result] = TensorType(FLOAT32, shape)
        nodes.append(Node(name=result, op=op, inputs=operands, outputs=(result,)))
        return result

    if any((top, left, bottom, right)):
        pads = rewriter.constant(f"{x}.pads", np.array([0, 0, top, left, 0, 0, bottom, right]))
        shape = (n, c, h + top + bottom, w + left + right)
        x, (n, c, h, w) = append("Pad", (x, pads), f"{x}:padded", shape), shape

    def per_channel(name: str, values: np.ndarray) -> str:
        return rewriter.constant(name, values.reshape(-1, 1, 1).astype(np.float32))

    if (gain != 1).any():
        factor = per_channel(f"{source}.gain", 1.0 / gain)
        x = append("Mul", (x, factor), f"{source}:scaled", (n, c, h, w))
    shift = per_channel(f"{source}.offset", -offset / gain)
    return nodes, append("Add", (x, shift), f"{source}:pixels", (n, c, h, w)), types
