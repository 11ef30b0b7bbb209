"""ONNX operators as differentiable torch functions: what `tf2.training.module` is made of.

A builder looks at a node once, reads its constant parameters (axes, shapes, pads), and returns the
function of its tensors. Operators without a builder are refused by name, never approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tf2.errors import TrainingError
from tf2.ir import Graph, Node
from tf2.training import windows
from tf2.training.arrangements import ARRANGEMENTS, constant_list
from tf2.training.elementwise import ELEMENTWISE, PARAMETRIC, with_attributes

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


def _plain(function: Function) -> Builder:
    return lambda _graph, _node: function


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


def _softmax(function: Function) -> Builder:
    return lambda _graph, node: lambda x: function(x, dim=int(node.attr("axis", -1)))


def _norm(x: Tensor, *, p: int, axis: int) -> Tensor:
    length = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(length > 0, length, torch.ones_like(length))


def _log_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.log(x.sum(axes, keep))


def _l1(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.abs().sum(axes, keep)


def _l2(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return torch.linalg.vector_norm(x, 2, axes, keep)


def _squares(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return x.square().sum(axes, keep)


BUILDERS: Mapping[str, Builder] = {
    **{op: _plain(function) for op, function in ELEMENTWISE.items()},
    **PARAMETRIC,
    **ARRANGEMENTS,
    "LpNormalization": with_attributes(_norm, p=2, axis=-1),
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
