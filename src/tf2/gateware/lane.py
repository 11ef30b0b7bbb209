"""What one lane does with a byte and a weight, and the weight as the lanes want it.

"sac" lanes take a 4-bit code (`tf2.numerics.pot4`) and shift; a negative code gives the ones'
complement ``~(byte << k)``, so no lane has a carry: the missing 1 of each negative code is a
constant of the weights, which the compiler adds to the bias. "mac" lanes multiply by an int8.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Mux, Shape, Value, signed, unsigned
from amaranth.lib import data

from tf2.arch import LaneKind

DECODED = {
    "sac": data.StructLayout({"shift": 3, "keep": 1, "invert": 1}),
    "mac": data.StructLayout({"factor": signed(8)}),
}
"""Layout of a decoded weight, which all lanes of a PE that use it share."""


def weight_shape(kind: LaneKind) -> Shape:
    """Return the shape of a weight in a filter word."""
    return unsigned(4) if kind == "sac" else signed(8)


def product_shape(kind: LaneKind) -> Shape:
    """Return the shape of a lane's product.

    "sac": -128 << 6 = -8192 to ~(-128 << 6) = 8191. "mac": -128 * 127 to -128 * -128.
    """
    return signed(14) if kind == "sac" else signed(16)


def decode(weight: Value, kind: LaneKind) -> Value:
    """Return a weight as `DECODED`; for "sac" the codes 7 and 15 are zero."""
    if kind == "mac":
        return weight.as_unsigned()
    exponent, positive = weight[:3], weight[3]
    zero = exponent.all()
    return Cat(exponent, ~zero, ~(positive | zero))


def product(byte: Value, weight: data.View, kind: LaneKind) -> Value:
    """Return a byte times a decoded weight, in `product_shape`.

    As logic, three multiplexers a bit, each a LUT of 4 inputs: (keep, shift by 1), (shift by 2),
    (shift by 4, invert). Bits that are all the sign's are one: 34 LUTs, where ``<<`` takes 35.
    """
    if kind == "mac":
        return byte * weight.factor
    sign = byte[-1] & weight.keep
    bits = Mux(weight.shift[0], Cat(C(0, 1), byte), Cat(byte, byte[-1]))
    bits = bits & weight.keep.replicate(9)
    bits = Mux(weight.shift[1], Cat(C(0, 2), bits[:8]), Cat(bits[:8], sign.replicate(2)))
    high = sign.replicate(4)
    bits = Mux(weight.shift[2], Cat(C(0, 4), bits), Cat(bits, high))
    return (bits ^ weight.invert.replicate(14)).as_signed()
