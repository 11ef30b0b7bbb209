"""Depthwise convolutions with one weight a channel: how the array does what is no convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tf2.ir import FLOAT32, Node, TensorType
from tf2.ir.rewriter import Rewriter


def replace_by_depthwise(
    rewriter: Rewriter,
    node: Node,
    x: str,
    gain: np.ndarray,
    offset: np.ndarray | None = None,
    *,
    activation: Node | None = None,
) -> None:
    """Put y = activation(x*gain + offset), as a convolution with group = C, in place of a node.

    A convolution has a spatial axis: (N, C) gets one of size 1 before it and loses it after.

    Args:
        rewriter: Holds the graph.
        node: To be replaced.
        x: What it reads, (N, C, *spatial).
        gain: (C,).
        offset: (C,), None for zeros.
        activation: Follows the convolution; default none.
    """
    shape = rewriter.graph.shape(x)
    flat = len(shape) == 2
    inner = (*shape, 1) if flat else shape
    axis = rewriter.constant(f"{node.name}.axis", np.array([2])) if flat else ""
    nodes: list[Node] = []
    if flat:
        column = f"{node.output}.column"
        nodes.append(Node(name=column, op="Unsqueeze", inputs=(x, axis), outputs=(column,)))
        x = column
    results = {
        (False, False): [node.output],
        (False, True): [f"{node.output}.linear", node.output],
        (True, False): [f"{node.output}.row"],
        (True, True): [f"{node.output}.linear", f"{node.output}.row"],
    }[flat, activation is not None]
    name = node.name if activation is None else f"{node.name}.linear"
    nodes.append(_conv(rewriter, name, x, results[0], gain, offset, rank=len(inner) - 2))
    if activation is not None:
        nodes.append(_moved(rewriter, activation, results, flat=flat))
    if flat:
        operands = (results[-1], axis)
        nodes.append(
            Node(name=f"{node.name}.flat", op="Squeeze", inputs=operands, outputs=(node.output,))
        )
    new = [name for n in nodes for name in n.outputs if name != node.output]
    rewriter.replace([node], nodes, types={name: TensorType(FLOAT32, inner) for name in new})


def _conv(
    rewriter: Rewriter,
    name: str,
    x: str,
    output: str,
    gain: np.ndarray,
    offset: np.ndarray | None,
    *,
    rank: int,
) -> Node:
    weight = gain.reshape(-1, 1, *[1] * rank).astype(np.float32)
    inputs = [x, rewriter.constant(f"{name}.weight", weight)]
    if offset is not None:
        inputs.append(rewriter.constant(f"{name}.bias", offset.astype(np.float32)))
    attrs = {"group": len(gain), "kernel_shape": (1,) * rank}
    return Node(name=name, op="Conv", inputs=tuple(inputs), outputs=(output,), attrs=attrs)


def _moved(rewriter: Rewriter, activation: Node, results: list[str], *, flat: bool) -> Node:
    """Return the activation between the two values; per-channel slopes get the new axis too."""
    operands = activation.inputs[1:]
    slope = rewriter.graph.constant(activation.operand(1)) if activation.op == "PRelu" else None
    if flat and slope is not None:
        operands = (rewriter.constant(f"{activation.name}.slope", slope.reshape(-1, 1)),)
    return replace(activation, inputs=(results[0], *operands), outputs=(results[1],))
