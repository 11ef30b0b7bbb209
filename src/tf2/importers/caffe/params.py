"""Typed access to a layer's parameter block, with everything unknown in it refused.

A converter declares the fields it understands and those that cannot change the result. Any other
field of the block raises, so that no setting is ignored silently.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tf2.errors import UnsupportedOpError
from tf2.importers.caffe.prototxt import Message, Scalar

MAX_INT = 2**31 - 1  # Caffe keeps sizes in int
MAX_AXES = 32  # Caffe's kMaxBlobAxes
MAX_VALUES = 4096  # of one field; a Slice into that many parts is not known
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_BOOLS = {"true": True, "True": True, "t": True, "1": True}
_BOOLS |= {"false": False, "False": False, "f": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class Params:
    """The fields of one parameter block, such as ``convolution_param``, read by type.

    A field that is given several times where Caffe takes one value: the last one counts, as in
    protobuf.
    """

    layer: str
    layer_type: str
    block: str
    message: Message

    def error(self, reason: str, hint: str = "Correct the prototxt.") -> UnsupportedOpError:
        """Return the error for this layer; the caller raises it."""
        return UnsupportedOpError(node=self.layer, op=self.layer_type, reason=reason, hint=hint)

    def check_known(self, accepts: Collection[str], ignores: Collection[str]) -> None:
        """Refuse fields that are neither understood nor known to be without effect."""
        for name, value in self.message.fields:
            if name not in accepts and name not in ignores:
                raise self.error(
                    f"line {value.line}: {self.block} has the parameter {name!r}; understood are "
                    f"{', '.join(sorted(accepts)) or 'none'}",
                    "Remove it if it does not change the result; otherwise this layer cannot be "
                    "imported.",
                )

    def __contains__(self, name: str) -> bool:
        return bool(self.message.all(name))

    def integers(self, name: str, *, low: int = 0, high: int = MAX_INT) -> list[int]:
        """Return every value of a field as integers in ``low..high``."""
        return [self._int(name, value, low, high) for value in self._scalars(name)]

    def integer(self, name: str, default: int, *, low: int = 0, high: int = MAX_INT) -> int:
        """Return an integer in ``low..high``, or the default where the field is absent."""
        return next(iter(reversed(self.integers(name, low=low, high=high))), default)

    def numbers(self, name: str) -> list[float]:
        """Return every value of a field as numbers that float32 can hold."""
        return [self._float(name, value) for value in self._scalars(name)]

    def number(self, name: str, default: float) -> float:
        """Return a number that float32 can hold, or the default where the field is absent."""
        return next(iter(reversed(self.numbers(name))), default)

    def flag(self, name: str, default: bool) -> bool:
        """Return a truth value, or the default where the field is absent."""
        for value in reversed(self._scalars(name)):
            if value.quoted or value.text not in _BOOLS:
                raise self._invalid(name, value, "true or false")
            return _BOOLS[value.text]
        return default

    def choice(self, name: str, numbers: Mapping[str, int], default: str) -> str:
        """Return the name of an enum value, given by name or number in the file."""
        by_number = {str(number): key for key, number in numbers.items()}
        for value in reversed(self._scalars(name)):
            text = by_number.get(value.text, value.text)
            if value.quoted or text not in numbers:
                raise self._invalid(name, value, f"one of {', '.join(numbers)}")
            return text
        return default

    def shapes(self, name: str) -> list[list[int]]:
        """Return every value of a field of BlobShape blocks; a dim may be -1 or 0."""
        shapes = []
        for value in self.message.all(name):
            if isinstance(value, Scalar):
                raise self._invalid(name, value, "a block such as { dim: 1 dim: 3 }")
            shape = Params(layer=self.layer, layer_type=self.layer_type, block=name, message=value)
            shape.check_known({"dim"}, ())
            shapes.append(shape.integers("dim", low=-1))
            if len(shapes[-1]) > MAX_AXES:
                raise self.error(f"line {value.line}: more than {MAX_AXES} axes, Caffe's limit")
        return shapes

    def _scalars(self, name: str) -> list[Scalar]:
        scalars = []
        for value in self.message.all(name):
            if isinstance(value, Message):
                raise self.error(f"line {value.line}: {name} is a block; it must be a plain value")
            scalars.append(value)
        if len(scalars) > MAX_VALUES:
            raise self.error(f"{name} has {len(scalars)} values; at most {MAX_VALUES} are read")
        return scalars

    def _int(self, name: str, value: Scalar, low: int, high: int) -> int:
        number = parse_int(value)
        if number is None or not low <= number <= high:
            raise self._invalid(name, value, f"an integer in {low}..{high}")
        return number

    def _float(self, name: str, value: Scalar) -> float:
        number = _parse_float(value)
        if number is None or not abs(number) <= _FLOAT32_MAX:
            raise self._invalid(name, value, "a finite float32 number")
        return number

    def _invalid(self, name: str, value: Scalar, allowed: str) -> UnsupportedOpError:
        found = f"'{value.text[:40]}'" if value.quoted else value.text[:40]
        return self.error(f"line {value.line}: {name} is {found}; it must be {allowed}")


def parse_int(value: Scalar) -> int | None:
    """Return a decimal, hexadecimal or octal integer, or None where the value is no integer."""
    text = value.text
    if value.quoted or len(text) > 24 or not text.isascii() or "_" in text:
        return None
    digits = text.lstrip("+-").lower()
    is_octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    try:
        return int(text, 16 if digits.startswith("0x") else 8 if is_octal else 10)
    except ValueError:
        return None


def _parse_float(value: Scalar) -> float | None:
    text = value.text
    if value.quoted or len(text) > 400 or not text.isascii() or "_" in text:
        return None
    is_suffixed = text[-1:] in ("f", "F") and text[-3:].lower() != "inf"
    try:
        number = float(text[:-1] if is_suffixed else text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
