"""Operators that move values and compute nothing, as torch functions; see `operators`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tf2.ir import Graph, Node
from tf2.training.windows import NotTrainableError

Function = Callable[..., Any]

PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def constant_list(graph: Graph, node: Node, index: int) -> list[int] | None:
    """Return an integer operand that shapes the result, None where it is absent."""
    if not node.operand(index):
        return None
    data = graph.constant(node.operand(index))
    if data is None:
        raise NotTrainableError(f"operand {index} decides a shape and is computed")
    return [int(v) for v in np.atleast_1d(data)]


def _reshape(graph: Graph, node: Node) -> Function:
    wanted = constant_list(graph, node, 1) or []
    keeps_zero = bool(node.attr("allowzero", 0))

    def reshape(x: Tensor, *_: Tensor) -> Tensor:
        sizes = [x.shape[i] if n == 0 and not keeps_zero else n for i, n in enumerate(wanted)]
        return x.reshape(sizes)

    return reshape


def _flatten(_graph: Graph, node: Node) -> Function:
    axis = int(node.attr("axis", 1))

    def flatten(x: Tensor) -> Tensor:
        at = axis % x.ndim if axis < 0 else axis
        return x.reshape(int(np.prod(x.shape[:at], dtype=int)) if at else 1, -1)

    return flatten


def _squeeze(graph: Graph, node: Node) -> Function:
    axes = constant_list(graph, node, 1)
    return lambda x, *_: x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(graph: Graph, node: Node) -> Function:
    axes = constant_list(graph, node, 1) or []

    def unsqueeze(x: Tensor, *_: Tensor) -> Tensor:
        rank = x.ndim + len(axes)
        for axis in sorted(a % rank for a in axes):
            x = x.unsqueeze(axis)
        return x

    return unsqueeze


def _transpose(graph: Graph, node: Node) -> Function:
    rank = len(graph.shape(node.inputs[0]))
    perm = tuple(node.attr("perm", tuple(reversed(range(rank)))))
    return lambda x: x.permute(perm)


def _concat(_graph: Graph, node: Node) -> Function:
    axis = int(node.attr("axis", 0))
    return lambda *values: torch.cat(values, axis)


def _split(graph: Graph, node: Node) -> Function:
    axis = int(node.attr("axis", 0))
    sizes = [graph.shape(name)[axis] for name in node.outputs]
    return lambda x, *_: torch.split(x, sizes, axis)


def _slice(graph: Graph, node: Node) -> Function:
    starts, ends = (constant_list(graph, node, i) or [] for i in (1, 2))
    axes = constant_list(graph, node, 3) or list(range(len(starts)))
    steps = constant_list(graph, node, 4) or [1] * len(starts)

    def cut(x: Tensor, *_: Tensor) -> Tensor:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            positions = range(x.shape[axis])[start:end:step]
            if step > 0:
                where: list[Any] = [slice(None)] * x.ndim
                where[axis] = slice(positions.start, positions.stop, step)
                x = x[tuple(where)]
            else:
                index = torch.tensor(list(positions), dtype=torch.int64, device=x.device)
                x = x.index_select(axis, index)
        return x

    return cut


def _gather(_graph: Graph, node: Node) -> Function:
    axis = int(node.attr("axis", 0))

    def gather(x: Tensor, index: Tensor) -> Tensor:
        index = torch.where(index < 0, index + x.shape[axis], index).long()
        taken = x.index_select(axis, index.reshape(-1))
        at = axis % x.ndim
        return taken.reshape(*x.shape[:at], *index.shape, *x.shape[at + 1 :])

    return gather


def _expand(graph: Graph, node: Node) -> Function:
    wanted = constant_list(graph, node, 1) or []
    return lambda x, *_: x * torch.ones(wanted, dtype=x.dtype, device=x.device)


def _tile(graph: Graph, node: Node) -> Function:
    repeats = constant_list(graph, node, 1) or []
    return lambda x, *_: x.repeat(repeats)


def _pad(graph: Graph, node: Node) -> Function:
    rank = len(graph.shape(node.inputs[0]))
    pads = constant_list(graph, node, 1) or []
    axes = [a % rank for a in constant_list(graph, node, 3) or range(rank)]
    begin, end = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        begin[axis], end[axis] = pads[i], pads[len(axes) + i]
    flat = [n for axis in reversed(range(rank)) for n in (begin[axis], end[axis])]
    mode = PAD_MODES[str(node.attr("mode", "constant"))]
    fill = graph.constant(node.operand(2))
    if node.operand(2) and fill is None:
        raise NotTrainableError("it pads with a value that is computed")
    value = 0 if fill is None or not fill.size else fill.reshape(-1)[0].item()
    if mode == "constant":
        return lambda x, *_: functional.pad(x, flat, value=value)
    while len(flat) > 2 and flat[-2:] == [0, 0]:  # torch pads these modes on the last axes only
        flat = flat[:-2]
    return lambda x, *_: functional.pad(x, flat, mode=mode)


def _depth_to_space(_graph: Graph, node: Node) -> Function:
    b, columns = int(node.attr("blocksize", 1)), str(node.attr("mode", "DCR")) == "CRD"

    def shuffle(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if columns:
            split, order = (n, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
        else:
            split, order = (n, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2)
        return x.reshape(split).permute(order).reshape(n, c // b**2, h * b, w * b)

    return shuffle


def _space_to_depth(_graph: Graph, node: Node) -> Function:
    b = int(node.attr("blocksize", 1))

    def shuffle(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        split = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
        return split.reshape(n, c * b**2, h // b, w // b)

    return shuffle


ARRANGEMENTS: Mapping[str, Callable[[Graph, Node], Function]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
"""Builders by operator."""
