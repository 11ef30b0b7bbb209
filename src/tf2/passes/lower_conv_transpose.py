"""A transposed convolution as a convolution and a move of its channels to their positions.

Along each axis, output position s*a + p (stride s, phase p) only meets the taps p, p + s, ...: an
ordinary convolution over a. One convolution computes all phases as channels, and a transposition
puts them side by side (the sub-pixel convolution of Shi et al. 2016, arXiv:1609.05158).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tf2.ir import FLOAT32, Graph, Node, TensorType
from tf2.ir.rewriter import RewritePattern, Rewriter
from tf2.passes.activation import ACTIVATIONS, activation_of
from tf2.passes.linear import bias_of

Sizes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Phases:
    """Sizes of the convolution, one an axis.

    Attributes:
        strides: Phases.
        taps: Of one phase.
        size: Positions of one phase.
        skipped: Interleaved positions before the first that is kept.
        pads: Of the convolution, begin and end.
    """

    strides: Sizes
    taps: Sizes
    size: Sizes
    skipped: Sizes
    pads: Sizes


class LowerConvTranspose(RewritePattern):
    """Write ConvTranspose as Conv, Reshape, Transpose, Reshape and Slice. Exact.

    An activation that alone reads the result goes with the Conv, which can take it in.
    """

    roots = frozenset({"ConvTranspose"})

    def match_and_rewrite(self, node: Node, rewriter: Rewriter) -> None:
        """Lower one ConvTranspose, or say why not."""
        graph = rewriter.graph
        weight, bias = graph.constant(node.inputs[1]), bias_of(graph, node)
        if weight is None or bias is None or weight.dtype != np.float32:
            rewriter.decline(node, "its weights are computed at run time or are not float32")
            return
        phases = _phases(graph, node)
        if phases is None:
            rewriter.decline(node, "its dilation, padding or output shape is not supported")
            return
        groups = int(node.attr("group", 1))
        count = prod(phases.strides)
        names = (
            rewriter.constant(f"{node.name}.weight", phase_weight(weight, phases, groups)),
            rewriter.constant(f"{node.name}.bias", np.repeat(bias, count).astype(np.float32)),
        )
        channels = len(bias) * count
        stages = _Stages(f"{node.name}.phases", (1, channels, *phases.size))
        attrs = {"group": groups, "pads": phases.pads, "kernel_shape": phases.taps}
        conv = Node(
            name=node.name,
            op="Conv",
            inputs=(node.inputs[0], *names),
            outputs=(stages.value,),
            attrs=attrs,
        )
        stages.nodes.append(conv)
        old, output = [node], node.output
        user = graph.sole_user(node.output)
        if user is not None and user.kind in ACTIVATIONS and activation_of(graph, user):
            old, output = [node, user], user.output
            stages.append(_repeated(rewriter, user, count), name=user.name)
        _interleave(rewriter, stages, node.name, phases, graph.shape(output), len(bias))
        stages.nodes[-1] = replace(stages.nodes[-1], outputs=(output,))
        rewriter.replace(old, stages.nodes, types=stages.types)


def _phases(graph: Graph, node: Node) -> _Phases | None:
    size, out = graph.shape(node.inputs[0])[2:], graph.shape(node.output)[2:]
    rank = len(size)
    kernel = graph.shape(node.inputs[1])[2:]
    strides = tuple(node.attr("strides", (1,) * rank))
    pads = tuple(node.attr("pads", (0,) * 2 * rank))
    extra = tuple(node.attr("output_padding", (0,) * rank))
    given = zip(size, kernel, strides, pads[:rank], pads[rank:], extra, strict=True)
    expected = tuple(s * (n - 1) + k - b - e + more for n, k, s, b, e, more in given)
    plain = not {"auto_pad", "output_shape"} & set(node.attrs)
    if not plain or expected != out or any(d != 1 for d in node.attr("dilations", ())):
        return None
    begin = pads[:rank]
    taps = tuple(-(-k // s) for k, s in zip(kernel, strides, strict=True))
    positions = tuple(-(-(o + b) // s) for o, b, s in zip(out, begin, strides, strict=True))
    end = tuple(a - n for a, n in zip(positions, size, strict=True))
    if min((*begin, *end)) < 0:
        return None
    before = tuple(t - 1 for t in taps)
    return _Phases(strides=strides, taps=taps, size=positions, skipped=begin, pads=(*before, *end))


def phase_weight(weight: np.ndarray, phases: _Phases, groups: int) -> np.ndarray:
    """Return (O * phases, I / groups, *taps) of a ConvTranspose weight (I, O / groups, *kernel)."""
    kernel = weight.shape[2:]
    rank = len(kernel)
    fill = [(0, s * t - k) for s, t, k in zip(phases.strides, phases.taps, kernel, strict=True)]
    padded = np.pad(weight, [(0, 0), (0, 0), *fill])
    split = [n for t, s in zip(phases.taps, phases.strides, strict=True) for n in (t, s)]
    inputs, outputs = weight.shape[0] // groups, weight.shape[1]
    parts = padded.reshape(groups, inputs, outputs, *split)
    parts = np.flip(parts, axis=tuple(range(3, 3 + 2 * rank, 2)))
    taps, steps = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    ordered = parts.transpose(0, 2, *steps, 1, *taps)
    return np.ascontiguousarray(ordered.reshape(-1, inputs, *phases.taps))


class _Stages:
    """Nodes in a row, each reading what the one before it wrote."""

    def __init__(self, value: str, shape: Sizes) -> None:
        self.nodes: list[Node] = []
        self.types = {value: TensorType(FLOAT32, shape)}
        self.value = value

    def append(self, node: Node, *, name: str, shape: Sizes | None = None) -> None:
        """Append a node behind the value so far; its first input and its output are set here."""
        result = f"{name}.phases" if shape is None else name
        source = self.types[self.value].shape
        self.nodes.append(replace(node, inputs=(self.value, *node.inputs[1:]), outputs=(result,)))
        self.types[result] = TensorType(FLOAT32, source if shape is None else shape)
        self.value = result


def _repeated(rewriter: Rewriter, activation: Node, count: int) -> Node:
    """Return the activation for every phase of each channel."""
    slope = rewriter.graph.constant(activation.operand(1)) if activation.op == "PRelu" else None
    if slope is None or slope.size == 1:
        return activation
    axis = slope.ndim - (len(rewriter.graph.shape(activation.output)) - 1)
    wider = rewriter.constant(f"{activation.name}.slope", np.repeat(slope, count, axis=axis))
    return replace(activation, inputs=(activation.inputs[0], wider))


def _interleave(
    rewriter: Rewriter, stages: _Stages, name: str, phases: _Phases, out: Sizes, channels: int
) -> None:
    """Append the moves from (N, channels * phases, *size) to the output (N, channels, *spatial)."""
    rank = len(phases.size)
    if prod(phases.strides) > 1:
        apart = (channels, *phases.strides, *phases.size)
        joined = tuple(a * s for a, s in zip(phases.size, phases.strides, strict=True))
        order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
        mixed = (
            1,
            channels,
            *[n for pair in zip(phases.size, phases.strides, strict=True) for n in pair],
        )
        for suffix, op, operand, shape, attrs in (
            ("apart", "Reshape", (0, *apart), (1, *apart), {}),
            ("mixed", "Transpose", None, mixed, {"perm": (0, 1, *order)}),
            ("joined", "Reshape", (0, channels, *joined), (1, channels, *joined), {}),
        ):
            operands = ("",)
            if operand is not None:
                operands = ("", rewriter.constant(f"{name}.{suffix}_shape", np.array(operand)))
            node = Node(name=f"{name}.{suffix}", op=op, inputs=operands, outputs=("",), attrs=attrs)
            stages.append(node, name=node.name, shape=shape)
    if stages.types[stages.value].shape[2:] == out[2:]:
        return
    ends = [s + n for s, n in zip(phases.skipped, out[2:], strict=True)]
    operands = [
        rewriter.constant(f"{name}.{which}", np.array(values))
        for which, values in (
            ("first", phases.skipped),
            ("last", ends),
            ("axes", range(2, 2 + rank)),
        )
    ]
    node = Node(name=f"{name}.cut", op="Slice", inputs=("", *operands), outputs=("",))
    stages.append(node, name=node.name, shape=out)
