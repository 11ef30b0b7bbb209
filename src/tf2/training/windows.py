"""Convolutions, poolings and normalizations as torch functions; see `tf2.training.operators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tf2.ir import Graph, Node
from tf2.ir.integer_ops import window

Function = Callable[..., Any]

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGE_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class NotTrainableError(ValueError):
    """A use of an operator that has no differentiable form here; the caller names the node."""


def _rank(graph: Graph, node: Node, *, most: int = 3) -> int:
    rank = len(graph.shape(node.inputs[0])) - 2
    if not 1 <= rank <= most:
        raise NotTrainableError(f"it has {rank} spatial axes; 1 to {most} are possible")
    if str(node.attr("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise NotTrainableError(f"auto_pad {node.attr('auto_pad', '')} should have become pads")
    return rank


def _pads(begin: tuple[int, ...], end: tuple[int, ...]) -> list[int]:
    """Return pads in the order of `torch.nn.functional.pad`: the last axis first."""
    return [n for pair in reversed(list(zip(begin, end, strict=True))) for n in pair]


def conv(graph: Graph, node: Node) -> Function:
    """Build Conv: equal pads go to the convolution itself, others are written out before it."""
    rank = _rank(graph, node)
    walk, groups = window(graph, node), int(node.attr("group", 1))
    declared = tuple(node.attr("pads", (0,) * 2 * rank))
    same = declared[:rank] == declared[rank:]
    inside = declared[:rank] if same else 0
    outside = None if same else _pads(declared[:rank], declared[rank:])
    function = CONV[rank]

    def apply(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        if outside is not None:
            x = functional.pad(x, outside)
        return function(x, w, b, walk.strides, inside, walk.dilations, groups)  # pyright: ignore[reportArgumentType, reportCallIssue]

    return apply


def conv_transpose(graph: Graph, node: Node) -> Function:
    """Build ConvTranspose: the whole result, then cut to its pads."""
    rank = _rank(graph, node)
    ones = (1,) * rank
    strides, dilations = tuple(node.attr("strides", ones)), tuple(node.attr("dilations", ones))
    kernel, size = graph.shape(node.inputs[1])[2:], graph.shape(node.inputs[0])[2:]
    out, groups = graph.shape(node.output)[2:], int(node.attr("group", 1))
    if "output_shape" in node.attrs:
        raise NotTrainableError("it gives output_shape instead of pads")
    begin = tuple(node.attr("pads", (0,) * 2 * rank))[:rank]
    full = [
        s * (n - 1) + d * (k - 1) + 1
        for s, n, d, k in zip(strides, size, dilations, kernel, strict=True)
    ]
    end = tuple(o + b - f for o, b, f in zip(out, begin, full, strict=True))
    cut = _pads(tuple(-b for b in begin), end)

    def apply(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        y = TRANSPOSED[rank](x, w, None, strides, 0, 0, groups, dilations)  # pyright: ignore[reportArgumentType, reportCallIssue]
        y = functional.pad(y, cut)
        return y if b is None else y + b.reshape(-1, *[1] * rank)

    return apply


def max_pool(graph: Graph, node: Node) -> Function:
    """Build MaxPool: padding never wins."""
    if len([name for name in node.outputs if name]) > 1:
        raise NotTrainableError("it also returns the positions of the maxima")
    rank, walk = _rank(graph, node), window(graph, node)
    pads = _pads(walk.pads_begin, walk.pads_end)
    function = MAX_POOL[rank]

    def apply(x: Tensor) -> Tensor:
        if any(pads):
            x = functional.pad(x, pads, value=_lowest(x.dtype))
        return function(x, walk.kernel, walk.strides, 0, walk.dilations)  # pyright: ignore[reportArgumentType]

    return apply


def _lowest(dtype: torch.dtype) -> float:
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def average_pool(graph: Graph, node: Node) -> Function:
    """Build AveragePool: window sums divided by the positions that ONNX counts."""
    rank, walk = _rank(graph, node), window(graph, node)
    if any(d != 1 for d in walk.dilations):
        raise NotTrainableError("its windows are dilated")
    pads, function = _pads(walk.pads_begin, walk.pads_end), AVERAGE_POOL[rank]
    if not any(pads):
        return lambda x: function(x, walk.kernel, walk.strides)  # pyright: ignore[reportArgumentType]
    declared = tuple(node.attr("pads", (0,) * 2 * rank))
    counted = torch.ones(1, 1, *graph.shape(node.inputs[0])[2:])
    if int(node.attr("count_include_pad", 0)):
        counted = functional.pad(counted, _pads(declared[:rank], declared[rank:]), value=1.0)
        rest = [e - d for e, d in zip(walk.pads_end, declared[rank:], strict=True)]
        counted = functional.pad(counted, _pads((0,) * rank, tuple(rest)))
    else:
        counted = functional.pad(counted, pads)
    share = function(counted, walk.kernel, walk.strides)  # pyright: ignore[reportArgumentType]

    def apply(x: Tensor) -> Tensor:
        return function(functional.pad(x, pads), walk.kernel, walk.strides) / share.to(x)  # pyright: ignore[reportArgumentType]

    return apply


def global_pool(function: Function) -> Callable[[Graph, Node], Function]:
    """Build a pooling over all spatial axes."""

    def build(graph: Graph, node: Node) -> Function:
        axes = tuple(range(2, len(graph.shape(node.inputs[0]))))
        return lambda x: function(x, axes, True)

    return build


def local_response(_graph: Graph, node: Node) -> Function:
    """Build LRN; ONNX divides alpha by the window as torch does."""
    size = int(node.attr("size", 1))
    alpha, beta, bias = (
        float(node.attr(name, default))
        for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )

    def apply(x: Tensor) -> Tensor:
        below = (size - 1) // 2
        squares = functional.pad(
            x.square().unsqueeze(1), [0, 0] * (x.ndim - 2) + [below, size - 1 - below]
        )
        total = squares.unfold(2, size, 1).sum(-1).squeeze(1)
        return x / (bias + alpha / size * total) ** beta

    return apply


def batch_normalization(_graph: Graph, node: Node) -> Function:
    """Build BatchNormalization by its stored statistics; the module adds training's."""
    epsilon = float(node.attr("epsilon", 1e-5))
    if int(node.attr("training_mode", 0)):
        raise NotTrainableError("it is exported in training mode: export the model with eval()")
    return lambda x, gamma, beta, mean, var: functional.batch_norm(
        x, mean, var, gamma, beta, training=False, eps=epsilon
    )


def instance_normalization(_graph: Graph, node: Node) -> Function:
    """Build InstanceNormalization."""
    epsilon = float(node.attr("epsilon", 1e-5))
    return lambda x, gamma, beta: functional.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)


def layer_normalization(graph: Graph, node: Node) -> Function:
    """Build LayerNormalization over the last axes, from ``axis`` on."""
    rank = len(graph.shape(node.inputs[0]))
    axis, epsilon = int(node.attr("axis", -1)) % rank, float(node.attr("epsilon", 1e-5))
    axes = tuple(range(axis, rank))

    def apply(x: Tensor, gamma: Tensor, beta: Tensor | None = None) -> tuple[Tensor, ...]:
        y = functional.layer_norm(x, x.shape[axis:], eps=epsilon) * gamma
        y = y if beta is None else y + beta
        if len(node.outputs) == 1:
            return (y,)
        spread = torch.rsqrt(x.var(axes, correction=0, keepdim=True) + epsilon)
        return (y, x.mean(axes, keepdim=True), spread)[: len(node.outputs)]

    return apply


def group_normalization(_graph: Graph, node: Node) -> Function:
    """Build GroupNormalization."""
    groups, epsilon = int(node.attr("num_groups", 1)), float(node.attr("epsilon", 1e-5))
    return lambda x, gamma, beta: functional.group_norm(x, groups, gamma, beta, epsilon)


def resize(graph: Graph, node: Node) -> Function:
    """Build Resize in the modes that torch has: nearest by whole factors, and linear."""
    source, target = graph.shape(node.inputs[0]), graph.shape(node.output)
    mode = str(node.attr("mode", "nearest"))
    how = str(node.attr("coordinate_transformation_mode", "half_pixel"))
    rank = len(source) - 2
    if source[:2] != target[:2] or not 1 <= rank <= 3:
        raise NotTrainableError("it resizes other axes than the last 1 to 3")
    size = list(target[2:])
    if mode == "nearest" and all(t % s == 0 for s, t in zip(source, target, strict=True)):
        factors = [t // s for s, t in zip(source[2:], target[2:], strict=True)]

        def repeat(x: Tensor, *_: Tensor) -> Tensor:
            for axis, factor in enumerate(factors):
                x = x.repeat_interleave(factor, 2 + axis) if factor > 1 else x
            return x

        if how in ("asymmetric", "half_pixel") and _repeats(node, how):
            return repeat
    plain = not int(node.attr("antialias", 0)) and not int(node.attr("exclude_outside", 0))
    grows = all(t >= s for s, t in zip(source, target, strict=True))
    if mode == "linear" and how in ("half_pixel", "align_corners") and plain and grows:
        torch_mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]
        corners = how == "align_corners"
        return lambda x, *_: functional.interpolate(
            x, size=size, mode=torch_mode, align_corners=corners
        )
    raise NotTrainableError(f"resizing by {mode!r} with {how!r} has no equal in torch")


def _repeats(node: Node, how: str) -> bool:
    """Tell whether nearest by whole factors repeats each element."""
    rounding = str(node.attr("nearest_mode", "round_prefer_floor"))
    return rounding == "floor" if how == "asymmetric" else rounding.startswith("round_prefer")
