"""What a tensor of the graph holds: plain ONNX elements, or feature bytes with their scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf2.numerics import fixed_point

PLAIN = (
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool", "string",
)  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """Elements as ONNX defines them; ``name`` is one of `PLAIN`."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in PLAIN:
            raise ValueError(f"element type must be one of {', '.join(PLAIN)}, not {self.name!r}")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Feature:
    """Feature bytes b in -128..127 whose value is ``(b - zero_point) * 2**-frac_bits``.

    Attributes:
        frac_bits: Q; within -60..60, so that float32 holds the ratio of any two scales.
        zero_point: 0 (either sign) or -128 (never negative).
    """

    frac_bits: int
    zero_point: int

    def __post_init__(self) -> None:
        if abs(self.frac_bits) > fixed_point.MAX_FRAC_BITS:
            raise ValueError(f"frac_bits must be -60..60, not {self.frac_bits}")
        if self.zero_point not in (fixed_point.SIGNED, fixed_point.UNSIGNED):
            raise ValueError(f"zero_point must be 0 or -128, not {self.zero_point}")

    def __str__(self) -> str:
        return f"{'u' if self.zero_point else 's'}8q{self.frac_bits}"

    @property
    def scale(self) -> float:
        """Value of one step: 2**-frac_bits."""
        return 2.0**-self.frac_bits

    @property
    def min(self) -> float:
        """Smallest value."""
        return (fixed_point.BYTE_MIN - self.zero_point) * self.scale

    @property
    def max(self) -> float:
        """Largest value."""
        return (fixed_point.BYTE_MAX - self.zero_point) * self.scale


DType = Plain | Feature

FLOAT32 = Plain("float32")
INT32 = Plain("int32")


@dataclass(frozen=True)
class TensorType:
    """Element type and shape; the shape is that of one sample, its batch axis (if free) is 1."""

    dtype: DType
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))
