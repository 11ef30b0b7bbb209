"""The two weight grids, and the multipliers that scale them: what a solution may be made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tf2.ir import Feature
from tf2.numerics import fixed_point

WeightKind = Literal["pot4", "int8"]

LARGEST = {"pot4": 64.0, "int8": 127.0}
"""Largest magnitude of an integer weight of each kind."""

MIN_MULTIPLIER = 16
"""Multipliers keep at least this value where a smaller one would miss the gain by more than
`TOLERANCE`. Such gains are raised to it and the weights rounded to that coarser grid (most become
0: they hardly count)."""

TOLERANCE = 1 / (2 * MIN_MULTIPLIER)
"""Relative error within which a gain counts as met."""


def round_pot4(values: np.ndarray) -> np.ndarray:
    """Return the nearest of 0, +-1, +-2, ..., +-64 to each value, float32.

    The border between 2**k and 2**(k+1) is 1.5 * 2**k, that between 0 and 1 is 0.5.
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    magnitude = np.abs(values)
    # 4/3 m >= 2**k exactly where m >= 1.5 * 2**(k-1): keeping the exponent bits rounds down there.
    bits = (magnitude * np.float32(4 / 3)).view(np.int32) & np.int32(0x7F800000)
    rounded = np.minimum(np.maximum(bits.view(np.float32), np.float32(1)), np.float32(64))
    rounded *= magnitude >= np.float32(0.5)
    return np.copysign(rounded, values, out=rounded)


def round_int8(values: np.ndarray) -> np.ndarray:
    """Return the nearest integer in -127..127 to each value, float32."""
    return np.clip(np.rint(values), -127.0, 127.0).astype(np.float32)


ROUND = {"pot4": round_pot4, "int8": round_int8}


@dataclass(frozen=True)
class Gains:
    """The gains alpha that a layer's multiplier and shift can express.

    Weights are alpha * q; ``alpha * 2**(Q_out - Q_in) = multiplier / 2**shift``.
    """

    x: Feature
    y: Feature

    def to_integers(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (multiplier, shift) nearest to each gain, 0 or more, raised if it cannot be met.

        Powers of two are met down to multiplier 1 at the largest shift.
        """
        largest_shift = fixed_point.MAX_SHIFT[self.y.zero_point]
        scale = np.ldexp(np.asarray(alpha, np.float64), self.y.frac_bits - self.x.frac_bits)
        smallest = np.ldexp(1.0, -largest_shift)
        bounded = np.clip(scale, smallest, float(fixed_point.MAX_MULTIPLIER))
        multiplier, shift = fixed_point.nearest_multiplier(bounded, zero_point=self.y.zero_point)
        missed = np.abs(np.ldexp(multiplier.astype(np.float64), -shift) - scale) > TOLERANCE * scale
        raised = np.where(missed, np.maximum(bounded, MIN_MULTIPLIER * smallest), bounded)
        return fixed_point.nearest_multiplier(raised, zero_point=self.y.zero_point)

    def from_integers(self, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return the gain that a multiplier and shift stand for."""
        exponent = self.x.frac_bits - self.y.frac_bits - shift
        return np.ldexp(multiplier.astype(np.float64), exponent)

    def rounded(self, alpha: np.ndarray) -> np.ndarray:
        """Return the expressible gain nearest to each."""
        return self.from_integers(*self.to_integers(alpha))


@dataclass(frozen=True)
class RealGains:
    """The gains of a layer whose sums the host scales in float32: any, a normal float32 apart.

    Attributes:
        x: Scale of the layer's input.
    """

    x: Feature

    def rounded(self, alpha: np.ndarray) -> np.ndarray:
        """Return the float32 nearest to each gain; 0 becomes 1, as no weight is scaled by it."""
        smallest = np.finfo(np.float32).tiny * 2.0**24
        positive = np.where(alpha > 0, np.maximum(alpha, smallest), 1.0)
        return positive.astype(np.float32).astype(np.float64)
