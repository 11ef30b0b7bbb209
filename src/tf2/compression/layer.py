"""One layer's integer parameters from its float weights and what is known of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf2.compression.compensated import compensated
from tf2.compression.exact import power_of_two_rows
from tf2.compression.grid import TOLERANCE, Gains, RealGains, WeightKind, round_pot4
from tf2.compression.nearest import nearest
from tf2.compression.settled import Codes
from tf2.compression.statistics import Statistics, WideRows
from tf2.compression.wide import compensated_wide
from tf2.errors import CompressionError
from tf2.numerics import fixed_point
from tf2.passes.activation import Activation
from tf2.quantization import ConvParameters, SumParameters

BIAS_LIMIT = 2**30
"""Bound of biases: with |weights| summing to at most 2**22 the accumulator then fits int32."""


@dataclass(frozen=True, kw_only=True)
class FloatLayer:
    """A convolution or fully connected layer of the float network.

    Attributes:
        weight: (O, C / groups, *kernel), finite.
        bias: (O,).
        groups: Of the convolution.
        activation: Fused behind it.
    """

    weight: np.ndarray
    bias: np.ndarray
    groups: int
    activation: Activation

    @property
    def rows(self) -> np.ndarray:
        """The weight as a matrix (O, K)."""
        return self.weight.reshape(len(self.weight), -1)


@dataclass(frozen=True, kw_only=True)
class IntegerLayer:
    """What became of it.

    Attributes:
        parameters: Of the integer operator.
        effective_weight: alpha * q, (O, K) float64: the weights the integers stand for.
        exact: The float weights were on the grid already and were taken over.
    """

    parameters: ConvParameters | SumParameters
    effective_weight: np.ndarray
    exact: bool


def compress_layer(
    layer: FloatLayer,
    gains: Gains | RealGains,
    *,
    kind: WeightKind,
    method: str,
    statistics: Statistics | None,
    damping: float,
) -> IntegerLayer:
    """Return the integer parameters of a layer.

    Args:
        layer: The float layer.
        gains: Those its input and output scales admit; any, where the host scales its sums.
        kind: "pot4", or "int8" for a layer kept at 8 bits.
        method: "nearest" (the original's rule) or "compensated".
        statistics: Of its inputs; needed by "compensated", which then corrects the bias too.
        damping: See `compensated`.
    """
    exact = power_of_two_rows(layer.rows) if kind == "pot4" else None
    if exact is not None:
        q, alpha = _on_met_grid(layer, *exact, gains)
    elif method == "nearest" and kind == "pot4":
        q, alpha = _on_met_grid(layer, *nearest(layer.rows), gains)
    else:
        assert statistics is not None, "the compensated method looks at a layer's inputs"
        q, alpha = _by_group(layer, gains, statistics, kind=kind, damping=damping)
    effective = alpha[:, None] * q.astype(np.float64)
    bias = layer.bias.astype(np.float64)
    if exact is None and method == "compensated" and statistics is not None:
        bias = _corrected_bias(layer, effective, statistics)
    parameters = _parameters(layer, q, alpha, bias, gains, kind=kind)
    taken_over = exact is not None and np.array_equal(q, exact[0])
    return IntegerLayer(parameters=parameters, effective_weight=effective, exact=taken_over)


def settled_layer(
    layer: FloatLayer, codes: Codes, gains: Gains | RealGains, *, kind: WeightKind
) -> IntegerLayer:
    """Return the integer parameters of a layer whose codes are known; its bias is the float one.

    Raises:
        CompressionError: A gain is none that the multiplier and shift can express.
    """
    if not np.array_equal(gains.rounded(codes.alpha), codes.alpha):
        raise CompressionError("settled gains are no multiplier and shift of the array")
    parameters = _parameters(layer, codes.q, codes.alpha, layer.bias, gains, kind=kind)
    effective = codes.alpha[:, None] * codes.q.astype(np.float64)
    return IntegerLayer(parameters=parameters, effective_weight=effective, exact=True)


def _parameters(
    layer: FloatLayer,
    q: np.ndarray,
    alpha: np.ndarray,
    bias: np.ndarray,
    gains: Gains | RealGains,
    *,
    kind: WeightKind,
) -> ConvParameters | SumParameters:
    """Return the integers of a layer; every alpha is one that the gains can express."""
    weight = q.reshape(layer.weight.shape).astype(np.int8)
    steps = np.rint(bias / (alpha * gains.x.scale))
    integer_bias = np.clip(steps, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    if isinstance(gains, RealGains):
        scale = (alpha * gains.x.scale).astype(np.float32)
        return SumParameters(weight=weight, bias=integer_bias, scale=scale, weight_kind=kind)
    multiplier, shift = gains.to_integers(alpha)
    return ConvParameters(
        weight=weight,
        bias=integer_bias,
        multiplier=multiplier,
        shift=shift,
        weight_kind=kind,
        negative=_negative(layer.activation, multiplier, shift, gains),
    )


def _on_met_grid(
    layer: FloatLayer, q: np.ndarray, alpha: np.ndarray, gains: Gains | RealGains
) -> tuple[np.ndarray, np.ndarray]:
    """Return (q, alpha); rows whose gain cannot be expressed are rounded to the grid of another."""
    met = gains.rounded(alpha)
    other = np.abs(met - alpha) > TOLERANCE * alpha
    rounded = round_pot4(layer.rows / met[:, None])
    return np.where(other[:, None], rounded, q).astype(np.int8), met


def _by_group(
    layer: FloatLayer,
    gains: Gains | RealGains,
    statistics: Statistics,
    *,
    kind: WeightKind,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(statistics, WideRows):
        return compensated_wide(layer.rows, statistics, gains=gains, kind=kind, damping=damping)
    solved = [
        compensated(
            rows,
            statistics.covariance[g],
            statistics.target[g],
            gains=gains,
            kind=kind,
            damping=damping,
        )
        for g, rows in enumerate(np.split(layer.rows, layer.groups))
    ]
    return np.concatenate([q for q, _ in solved]), np.concatenate([alpha for _, alpha in solved])


def _corrected_bias(layer: FloatLayer, effective: np.ndarray, statistics: Statistics) -> np.ndarray:
    """Return the bias that keeps the mean of each output channel on the samples."""
    per_group = len(layer.rows) // layer.groups
    group = np.arange(len(layer.rows)) // per_group
    return statistics.target_mean - np.einsum("ok,ok->o", effective, statistics.mean[group])


def _negative(
    activation: Activation, multiplier: np.ndarray, shift: np.ndarray, gains: Gains
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the second multiplier, with the slope's sign, and shift; slope 0 is multiplier 0."""
    if activation.slope is None:
        return None
    scale = np.ldexp(multiplier.astype(np.float64), -shift) * np.abs(activation.slope)
    smallest = np.ldexp(1.0, -fixed_point.MAX_SHIFT[gains.y.zero_point])
    bounded = np.clip(scale, smallest, float(fixed_point.MAX_MULTIPLIER))
    m, s = fixed_point.nearest_multiplier(bounded, zero_point=gains.y.zero_point)
    nothing = scale < smallest / 2
    signed = np.where(activation.slope < 0, -m, m)
    return np.where(nothing, 0, signed), np.where(nothing, 0, s)
