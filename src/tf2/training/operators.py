"""ONNX operators as differentiable torch functions: what `tf2.training.module` is made of.

A builder looks at a node once, reads its constant parameters (axes, shapes, pads), and returns the
function of its tensors. Operators without a builder are refused by name, never approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tf2.errors import TrainingError
from tf2.ir import Graph, Node
from tf2.training import windows

Function = Callable[..., Any]
"""Of a node's operands in order, None where absent; returns a tensor or a tuple of them."""

Builder = Callable[[Graph, Node], Function]

PARAMETER_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "PRelu": (1,),
    "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "LayerNormalization": (1, 2),
    "GroupNormalization": (1, 2),
}  # fmt: skip
"""Operands that are trained where they are float constants."""

TORCH_TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32,
    7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64,
}  # fmt: skip


def function_of(graph: Graph, node: Node) -> Function:
    """Return the torch function of a node.

    Raises:
        TrainingError: The operator, or this use of it, has none; names the node.
    """
    builder = BUILDERS.get(node.kind)
    if builder is None:
        raise TrainingError(
            f"{node.kind} node {node.name!r} cannot be trained through: it has no differentiable "
            f"form here. Cut the network before it (outputs=, --output). Operators that have one: "
            f"{', '.join(sorted(BUILDERS))}"
        )
    try:
        return builder(graph, node)
    except windows.NotTrainableError as error:
        raise TrainingError(f"{node.kind} node {node.name!r} cannot be trained: {error}") from error


def constant_list(graph: Graph, node: Node, index: int) -> list[int] | None:
    """Return an integer operand that shapes the result, None where it is absent."""
    if not node.operand(index):
        return None
    data = graph.constant(node.operand(index))
    if data is None:
        raise windows.NotTrainableError(f"operand {index} decides a shape and is computed")
    return [int(v) for v in np.atleast_1d(data)]


def _plain(function: Function) -> Builder:
    return lambda _graph, _node: function


def _with(function: Function, **attributes: Any) -> Builder:
    """Return a builder that passes attributes on, by their ONNX name, with these defaults."""

    def build(_graph: Graph, node: Node) -> Function:
        given = {name: node.attr(name, default) for name, default in attributes.items()}
        return lambda *operands: function(*operands, **given)

    return build


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    return functional.gelu(x, approximate=approximate)


def _gemm(_graph: Graph, node: Node) -> Function:
    alpha, beta = float(node.attr("alpha", 1.0)), float(node.attr("beta", 1.0))
    transposed_a, transposed_b = int(node.attr("transA", 0)), int(node.attr("transB", 0))

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = (a.T if transposed_a else a), (b.T if transposed_b else b)
        if c is not None and c.ndim == 1 and alpha == beta == 1:
            return torch.addmm(c, a, b)
        y = a @ b if alpha == 1 else alpha * (a @ b)
        return y if c is None else y + (c if beta == 1 else beta * c)

    return gemm


def _mean(*values: Tensor) -> Tensor:
    return _sum(*values) / len(values)


def _sum(*values: Tensor) -> Tensor:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _fold(function: Function) -> Function:
    def folded(*values: Tensor) -> Tensor:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return folded


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _cast(_graph: Graph, node: Node) -> Function:
    wanted = TORCH_TYPES.get(int(node.attr("to", 1)))
    if wanted is None:
        raise windows.NotTrainableError(f"element type {node.attr('to', 1)} is unknown to torch")
    return lambda x, *_: x.to(wanted)


def _reduction(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Builder:
    def build(graph: Graph, node: Node) -> Function:
        axes = constant_list(graph, node, 1)
        keep = bool(node.attr("keepdims", 1))
        if not axes and node.attr("noop_with_empty_axes", 0):
            return lambda x, *_: x
        return lambda x, *_: function(x, tuple(axes or range(x.ndim)), keep)

    return build


def _arg(function: Function) -> Builder:
    def build(_graph: Graph, node: Node) -> Function:
        axis, keep = int(node.attr("axis", 0)), bool(node.attr("keepdims", 1))
        if node.attr("select_last_index", 0):
            raise windows.NotTrainableError("it takes the last of equal elements")
        return lambda x: function(x, axis, keep)

    return build


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


PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


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
        raise windows.NotTrainableError("it pads with a value that is computed")
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


def _softmax(function: Function) -> Builder:
    return lambda _graph, node: lambda x: function(x, dim=int(node.attr("axis", -1)))


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def _norm(x: Tensor, *, p: int, axis: int) -> Tensor:
    length = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(length > 0, length, torch.ones_like(length))


def _hard_sigmoid(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return torch.clamp(alpha * x + beta, 0, 1)


def _selu(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.elu(x, alpha)


def _celu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.celu(x, alpha)


def _leaky(x: Tensor, *, alpha: float) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _thresholded(x: Tensor, *, alpha: float) -> Tensor:
    return torch.where(x > alpha, x, torch.zeros((), dtype=x.dtype, device=x.device))


def _log_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.log(x.sum(axes, keep))


def _l1(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.abs().sum(axes, keep)


def _l2(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.linalg.vector_norm(x, 2, axes, keep)


def _squares(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.square().sum(axes, keep)


ELEMENTWISE: Mapping[str, Function] = {
    "Abs": torch.abs, "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal, "Floor": torch.floor, "Ceil": torch.ceil,
    "Round": torch.round, "Sign": torch.sign, "Erf": torch.erf, "Sin": torch.sin,
    "Cos": torch.cos, "Tan": torch.tan, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh,
    "Softplus": functional.softplus, "Softsign": functional.softsign, "Mish": functional.mish,
    "HardSwish": functional.hardswish,
    "Relu": torch.relu, "Clip": _clip, "PRelu": _prelu, "Identity": lambda x: x,
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": _divide, "Pow": torch.pow,
    "Sum": _sum, "Mean": _mean, "Max": _fold(torch.maximum), "Min": _fold(torch.minimum),
    "MatMul": _matmul, "Where": torch.where, "Not": torch.logical_not,
    "And": torch.logical_and, "Or": torch.logical_or, "Xor": torch.logical_xor,
    "Equal": torch.eq, "Less": torch.lt, "LessOrEqual": torch.le, "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
}  # fmt: skip

BUILDERS: Mapping[str, Builder] = {
    **{op: _plain(function) for op, function in ELEMENTWISE.items()},
    "LeakyRelu": _with(_leaky, alpha=0.01),
    "Elu": _with(_elu, alpha=1.0),
    "Celu": _with(_celu, alpha=1.0),
    "Selu": _with(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "ThresholdedRelu": _with(_thresholded, alpha=1.0),
    "HardSigmoid": _with(_hard_sigmoid, alpha=0.2, beta=0.5),
    "Gelu": _with(_gelu, approximate="none"),
    "LpNormalization": _with(_norm, p=2, axis=-1),
    "Gemm": _gemm,
    "Softmax": _softmax(torch.softmax),
    "LogSoftmax": _softmax(torch.log_softmax),
    "Cast": _cast,
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "ReduceLogSum": _reduction(_log_sum),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceL1": _reduction(_l1),
    "ReduceL2": _reduction(_l2),
    "ReduceSumSquare": _reduction(_squares),
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
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
    "Conv": windows.conv,
    "ConvTranspose": windows.conv_transpose,
    "MaxPool": windows.max_pool,
    "AveragePool": windows.average_pool,
    "GlobalAveragePool": windows.global_pool(torch.mean),
    "GlobalMaxPool": windows.global_pool(torch.amax),
    "LRN": windows.local_response,
    "BatchNormalization": windows.batch_normalization,
    "InstanceNormalization": windows.instance_normalization,
    "LayerNormalization": windows.layer_normalization,
    "GroupNormalization": windows.group_normalization,
    "Resize": windows.resize,
}
