"""8-bit features while training: what is trained is what runs.

Values are rounded to the bytes of the packed model, with its scales, and passed on as the reals
they stand for; gradients pass straight through (Bengio et al. 2013, arXiv:1308.3432). ReLU into
bytes that cannot be negative is the saturation itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tf2.ir import Feature, Graph
from tf2.numerics import fixed_point
from tf2.quantization import Partition, Step, partition
from tf2.quantization.average_pool import divisor
from tf2.quantization.feature_scales import feature_operands


@dataclass(frozen=True, kw_only=True)
class PoolFactor:
    """What an average pooling multiplies its window sums by, on the array.

    Attributes:
        count: Positions of a window.
        step: Of the sums.
        factor: Of the sums; not exactly one over the count.
    """

    count: int
    step: float
    factor: float

    def of_mean(self, mean: Tensor) -> Tensor:
        """Return the pooling's result for a mean of windows; exact in float32."""
        if mean.dtype != torch.float32:
            return mean * (self.count * self.factor)
        bound = ROUNDER * self.step
        return ((mean * self.count + bound) - bound) * self.factor


@dataclass(frozen=True, kw_only=True)
class FeaturePlan:
    """Where a network's values become bytes.

    Attributes:
        writes: Values that an operator of the array writes as bytes.
        reads: By node: values of the host that it reads as bytes.
        skips: ReLU nodes that the rounding behind them does.
        factors: Of average poolings, by node.
    """

    writes: Mapping[str, Feature] = field(default_factory=dict)
    reads: Mapping[str, Mapping[str, Feature]] = field(default_factory=dict)
    skips: frozenset[str] = frozenset()
    factors: Mapping[str, PoolFactor] = field(default_factory=dict)


ROUNDER = 1.5 * 2.0**23
"""Float32 numbers of this size are whole, and stay so 2**22 up and down."""

OVERWRITTEN = frozenset({"Conv", "Gemm", "Add", "AveragePool", "GlobalAveragePool"})
"""Operators that return a tensor of their own and do not keep it for the gradient."""

FLOAT = FeaturePlan()
"""No bytes anywhere."""


def feature_plan(graph: Graph, scales: Mapping[str, Feature]) -> FeaturePlan:
    """Return where the values of a canonical graph become bytes.

    Args:
        graph: Canonical, as it was compressed: pixels exposed where they were.
        scales: Of its features.
    """
    plan = partition(graph)
    writes: dict[str, Feature] = {}
    reads: dict[str, Mapping[str, Feature]] = {}
    skips: set[str] = set()
    factors: dict[str, PoolFactor] = {}
    for step in plan.steps:
        if step.kind == "host":
            continue
        reads[step.node.name] = _from_host(graph, plan, step, scales)
        if step.kind == "move" or step.sums:
            continue
        feature = scales[step.output]
        writes[step.output] = feature
        if step.kind == "average_pool":
            factors[step.node.name] = _pool_factor(graph, step, scales)
        unsigned = feature.zero_point == fixed_point.UNSIGNED
        skips.update(node.name for node in step.fused if node.op == "Relu" and unsigned)
    used = {node: values for node, values in reads.items() if values}
    return FeaturePlan(
        writes=writes,
        reads=used,
        skips=frozenset(skips),
        factors=factors,
    )


def _from_host(
    graph: Graph, plan: Partition, step: Step, scales: Mapping[str, Feature]
) -> dict[str, Feature]:
    operands = feature_operands(graph, step.node.inputs, step.kind)
    return {name: scales[name] for name in operands if name not in plan.in_bytes}


def _pool_factor(graph: Graph, step: Step, scales: Mapping[str, Feature]) -> PoolFactor:
    count = divisor(graph, step.node)
    assert count is not None, "partition admits pools of one divisor only"
    x, y = scales[step.node.inputs[0]], scales[step.output]
    exact = 2.0 ** (y.frac_bits - x.frac_bits) / count
    multiplier, shift = fixed_point.nearest_multiplier(np.array(exact), zero_point=y.zero_point)
    factor = math.ldexp(float(multiplier), x.frac_bits - y.frac_bits - int(shift))
    return PoolFactor(count=count, step=x.scale, factor=factor)


def as_bytes(x: Tensor, feature: Feature, *, in_place: bool = False) -> Tensor:
    """Return the values that the feature's bytes stand for; straight-through gradient.

    Args:
        x: Values.
        feature: Scale and zero point.
        in_place: Overwrite ``x``, which no operator keeps for its gradient.
    """
    low = float(fixed_point.BYTE_MIN - feature.zero_point)
    high = float(fixed_point.BYTE_MAX - feature.zero_point)
    return _StraightThrough.apply(x, 2.0**feature.frac_bits, low, high, in_place)


class _StraightThrough(torch.autograd.Function):
    """clamp(round_half_even(x * scale), low, high) / scale.

    Where bytes cannot be negative, no gradient passes at the ends: ReLU's, and that of saturation.
    Signed values hardly ever saturate: theirs passes everywhere, which takes no time. Overwriting x
    and keeping the result, which the next layer keeps anyway, costs no more than ReLU;
    torch.fake_quantize_per_tensor_affine takes several times longer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: float, high: float, own: bool) -> Tensor:
        if own:
            ctx.mark_dirty(x)
        bounds = (low / scale, high / scale)
        if x.dtype == torch.float32:
            # Of a sum with ROUNDER, float32 keeps whole steps only: rounded half to even.
            y = x.clamp_(*bounds) if own else x.clamp(*bounds)
            y.add_(ROUNDER / scale).sub_(ROUNDER / scale)
        else:
            y = x.mul_(scale) if own else x.mul(scale)
            y.round_().clamp_(low, high).mul_(1.0 / scale)
        ctx.bounds = None if low else bounds
        if not low:
            ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (grad,) = grad_outputs
        if ctx.bounds is not None:
            (y,) = ctx.saved_tensors
            grad = torch.ops.aten.hardtanh_backward(grad, y, *ctx.bounds)
        return grad, None, None, None, None
