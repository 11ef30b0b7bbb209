"""The weight grids as torch functions: powers of two of 2 to 5 bits, and 8-bit integers.

Weights are alpha * q with q = 0 or +-2**k. The largest k is 6 at up to 4 bits, as in the array's
code book, so fewer bits have the upper end of it; 5 bits are for comparison and run on no array.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tf2.ir import Feature
from tf2.numerics import fixed_point


@dataclass(frozen=True)
class Grid:
    """Which q there are.

    Attributes:
        exponents: How many powers of two, up to the largest; 0 for the integers -127..127.
        largest: Largest |q|.
    """

    exponents: int
    largest: float

    def rounded(self, values: Tensor) -> Tensor:
        """Return the nearest q to each value; between powers of two the border is 1.5 * 2**k.

        Example:
            4 bits: ``[0.4, 0.6, 2.9, 3.1, -100]`` gives ``[0, 1, 2, 4, -64]``.
        """
        if not self.exponents:
            return values.round().clamp(-self.largest, self.largest)
        smallest = self.largest / 2.0 ** (self.exponents - 1)
        magnitude = values.abs()
        _, exponent = torch.frexp(magnitude * (4 / 3))
        powers = torch.ldexp(torch.ones_like(values), exponent - 1).clamp(smallest, self.largest)
        return torch.where(magnitude < 0.5 * smallest, 0.0, torch.copysign(powers, values))


GRIDS = {5: Grid(15, 2.0**14), 4: Grid(7, 64.0), 3: Grid(3, 64.0), 2: Grid(1, 64.0)}
"""By bits: 15, 7, 3 or 1 powers of two, with both signs, and zero."""

INT8 = Grid(0, 127.0)


@dataclass(frozen=True)
class Multipliers:
    """The gains alpha that a layer can have, as `tf2.compression.grid.Gains` and `RealGains`.

    Attributes:
        x: Scale of the layer's input.
        y: Scale of its output; None where its sums leave the array, which admits every gain.
    """

    x: Feature
    y: Feature | None

    def rounded(self, alpha: Tensor) -> Tensor:
        """Return the expressible gain nearest to each positive one, at least one step."""
        if self.y is None:
            return alpha
        bits = self.y.frac_bits - self.x.frac_bits
        scale = torch.ldexp(alpha, torch.tensor(bits)).clamp(max=float(fixed_point.MAX_MULTIPLIER))
        _, exponent = torch.frexp(scale)  # scale is in 2**(exponent - 1) .. 2**exponent
        shift = (8 - exponent).clamp(0, fixed_point.MAX_SHIFT[self.y.zero_point])
        multiplier = torch.ldexp(scale, shift).round().clamp(min=1.0)
        return torch.ldexp(multiplier, -shift - bits)

    def rounded_slope(self, slope: Tensor, alpha: Tensor) -> Tensor:
        """Return the slope below zero that a second multiplier gives beside that of ``alpha``."""
        assert self.y is not None, "sums that leave the array have no activation"
        below = alpha * slope.abs()
        smallest = 2.0 ** (self.x.frac_bits - self.y.frac_bits)
        smallest *= 2.0 ** -fixed_point.MAX_SHIFT[self.y.zero_point]
        rounded = torch.where(below < smallest / 2, 0.0, self.rounded(below.clamp(min=smallest)))
        return torch.copysign(rounded / alpha, slope)
