"""What the passes know of linear operators: Conv, ConvTranspose and Gemm with constant weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tf2.ir import Attr, Graph, Node
from tf2.ir.rewriter import Rewriter

CANONICAL_GEMM: Mapping[str, Attr] = {"transB": 1, "alpha": 1.0, "beta": 1.0}
"""Attributes of a Gemm in the form of `CanonicalizeLinear`; transA is absent or 0."""


def is_linear(node: Node) -> bool:
    """Tell whether a node is y = W x + b: Conv, ConvTranspose, or Gemm in its canonical form."""
    if node.kind in ("Conv", "ConvTranspose"):
        return True
    canonical = all(node.attr(key, None) == value for key, value in CANONICAL_GEMM.items())
    return node.kind == "Gemm" and canonical and not int(node.attr("transA", 0))


def output_channel_axis(node: Node) -> int:
    """Return the weight axis of output channels: 1 of ConvTranspose (I, O/groups, ...), else 0."""
    return 1 if node.op == "ConvTranspose" else 0


def output_channels(graph: Graph, node: Node) -> int:
    """Return the number of output channels of a linear operator."""
    return graph.shape(node.output)[1]


def bias_of(graph: Graph, node: Node) -> np.ndarray | None:
    """Return the bias (O,) as float64, zeros where there is none; None if it is no constant (O,).

    A Gemm may add one that differs from sample to sample.
    """
    channels = output_channels(graph, node)
    if not node.operand(2):
        return np.zeros(channels)
    bias = graph.constant(node.operand(2))
    if bias is None or (bias.size != 1 and bias.shape not in ((channels,), (1, channels))):
        return None
    return np.broadcast_to(bias.reshape(-1), channels).astype(np.float64)


def scaled_weight(weight: np.ndarray, gain: np.ndarray, axis: int, *, groups: int) -> np.ndarray:
    """Return the weight with each output channel times its gain, in float64.

    Args:
        weight: (O, I/groups, ...) with axis 0, or (I, O/groups, ...) with axis 1.
        gain: (O,).
        axis: Of the output channels.
        groups: Of the convolution; only matters for axis 1.
    """
    wide = weight.astype(np.float64)
    if axis == 0:
        return wide * gain.reshape(-1, *[1] * (weight.ndim - 1))
    per_group = gain.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    split = wide.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return (split * per_group).reshape(weight.shape)


def with_parameters(
    rewriter: Rewriter, node: Node, weight: np.ndarray, bias: np.ndarray, *, output: str
) -> Node:
    """Return the linear node with float32 weight and bias, writing ``output``."""
    names = (
        rewriter.constant(f"{node.name}.weight", weight.astype(np.float32)),
        rewriter.constant(f"{node.name}.bias", bias.astype(np.float32)),
    )
    return replace(node, inputs=(node.inputs[0], *names), outputs=(output,))
