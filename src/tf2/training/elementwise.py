"""Operators that compute value by value, as torch functions; see `operators`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tf2.ir import Graph, Node

Function = Callable[..., Any]


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    return functional.gelu(x, approximate=approximate)


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


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


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
"""Functions of those that have no attributes."""


def with_attributes(function: Function, **attributes: Any) -> Callable[[Graph, Node], Function]:
    """Return a builder that passes attributes on, by their ONNX name, with these defaults."""

    def build(_graph: Graph, node: Node) -> Function:
        given = {name: node.attr(name, default) for name, default in attributes.items()}
        return lambda *operands: function(*operands, **given)

    return build


PARAMETRIC: Mapping[str, Callable[[Graph, Node], Function]] = {
    "LeakyRelu": with_attributes(_leaky, alpha=0.01),
    "Elu": with_attributes(_elu, alpha=1.0),
    "Celu": with_attributes(_celu, alpha=1.0),
    "Selu": with_attributes(
        _selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875
    ),
    "ThresholdedRelu": with_attributes(_thresholded, alpha=1.0),
    "HardSigmoid": with_attributes(_hard_sigmoid, alpha=0.2, beta=0.5),
    "Gelu": with_attributes(_gelu, approximate="none"),
}
"""Builders of those that have attributes."""
