"""Ways to build a lane, each in the place of `tf2.gateware.lane` in a PE.

A weight's code of 4 bits is decoded once a PE; what a lane makes of a byte and a decoded weight is
a `product`. `check` compares every byte and code with what it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.sim import Simulator

from tf2.gateware import dot_product, lane, pe

CODE = unsigned(4)
PRODUCT = signed(14)


@dataclass(frozen=True, kw_only=True)
class LaneVariant:
    """How a lane is built.

    Attributes:
        name: In the table.
        decoded: Layout of a decoded weight.
        decode: A weight as `decoded`.
        product: A byte times a decoded weight.
        value: What that is, of two integers, the second a weight's code.
        weight: Shape of a weight in the Filter Cache.
        shape: Of the product.
        dsp: Whether multiplications may become DSP blocks.
        rows: Terms whose sum the product is, where the tree of adders takes them one by one; each
            then ends in a register, as yosys merges adders without one between.
    """

    name: str
    decoded: data.StructLayout
    decode: Callable[[Value], Value]
    product: Callable[[Value, Any], Value]
    value: Callable[[int, int], int]
    weight: Shape = CODE
    shape: Shape = PRODUCT
    dsp: bool = False
    rows: Callable[[Value, Any], list[Value]] | None = None


def _layout(**widths: int) -> data.StructLayout:
    return data.StructLayout(dict(widths))


def _fields(weight: Value) -> tuple[Value, Value, Value]:
    """Return exponent, zero and negative of a code."""
    zero = weight[:3].all()
    return weight[:3], zero, ~(weight[3] | zero)


def _weight(code: int) -> int:
    """Return the weight of a code, 15 as 0."""
    return 0 if code & 7 == 7 else (1 if code & 8 else -1) << (code & 7)


def _exact(byte: int, code: int) -> int:
    return byte * _weight(code)


def _complement(byte: int, code: int) -> int:
    """Less 1 for each negative weight, as `tf2.gateware.lane` has it."""
    return byte * _weight(code) - (_weight(code) < 0)


def _near(byte: int, code: int) -> int:
    """Only exponents 0..3; the codes of the others are not used."""
    return _complement(byte, code) if code & 7 in (0, 1, 2, 3, 7) else _complement(byte, code & 11)


def _factor(byte: int, code: int) -> int:
    return byte * (code - 256 if code > 127 else code)


def _decode_naive(weight: Value) -> Value:
    return Cat(*_fields(weight))


def _product_naive(byte: Value, weight: Any) -> Value:
    shifted = byte << weight.shift
    return Mux(weight.zero, 0, Mux(weight.negative, -shifted, shifted))


def _decode_mux4(weight: Value) -> Value:
    exponent, zero, negative = _fields(weight)
    return Cat(exponent[:2], ~zero & ~exponent[2], ~zero & exponent[2], negative)


def _product_mux4(byte: Value, weight: Any) -> Value:
    """A multiplexer of four shifts, then a gate by 0 and one by 4, none open for zero; the sign."""
    near = (byte << weight.shift)[:11].as_signed()
    low, high = Mux(weight.low, near, 0), Mux(weight.high, near << 4, 0)
    return (low | high) ^ Mux(weight.invert, -1, 0)


def _decode_staged(weight: Value) -> Value:
    exponent, zero, negative = _fields(weight)
    by_2 = exponent[1]
    return Cat(exponent[0], ~zero & ~by_2, ~zero & by_2, exponent[2] & ~zero, negative)


def _product_staged(byte: Value, weight: Any) -> Value:
    """The sign with the shift by 1; gates by 0 and by 2; the shift by 4: four inputs a bit each."""
    fill = weight.invert
    inverted = Cat(byte.as_unsigned() ^ fill.replicate(8), byte[7] ^ fill)
    first = Mux(weight.by_1, Cat(fill, inverted[:8]), inverted)
    wide = Cat(first, first[8].replicate(2))
    second = (wide & weight.low.replicate(11)) | (
        Cat(fill.replicate(2), first) & weight.high.replicate(11)
    )
    return Mux(
        weight.by_4, Cat(fill.replicate(4), second)[:14], Cat(second, second[10].replicate(3))
    ).as_signed()


def _decode_near(weight: Value) -> Value:
    exponent, zero, negative = _fields(weight)
    return Cat(exponent[:2], ~zero, negative)


def _product_near(byte: Value, weight: Any) -> Value:
    kept = Mux(weight.keep, byte, 0)
    return (kept << weight.shift) ^ Mux(weight.invert, -1, 0)


def _rows(byte: Value, weight: Any) -> list[Value]:
    """Return eight gated rows; the last, which counts negative, as its complement."""
    rows: list[Value] = [Mux(weight.factor[k], byte, 0).as_signed() << k for k in range(7)]
    return [*rows, (~Mux(weight.factor[7], byte, 0).as_signed()) << 7]


def _sum_of_rows(byte: Value, weight: Any) -> Value:
    return sum(_rows(byte, weight), start=Const(0))


def _factor_less_128(byte: int, code: int) -> int:
    """The complement of the last row is 128 short: a constant of each lane."""
    return _factor(byte, code) - 128


_MAC = data.StructLayout({"factor": signed(8)})

VARIANTS = (
    LaneVariant(
        name="naive", decoded=_layout(shift=3, zero=1, negative=1), decode=_decode_naive,
        product=_product_naive, value=_exact, shape=signed(15),
    ),
    LaneVariant(
        name="complement", decoded=lane.DECODED["sac"], value=_complement,
        decode=lambda weight: lane.decode(weight, "sac"),
        product=lambda byte, weight: lane.product(byte, weight, "sac"),
    ),
    LaneVariant(
        name="staged", decoded=_layout(by_1=1, low=1, high=1, by_4=1, invert=1),
        decode=_decode_staged, product=_product_staged, value=_complement,
    ),
    LaneVariant(
        name="mux4", decoded=_layout(shift=2, low=1, high=1, invert=1), decode=_decode_mux4,
        product=_product_mux4, value=_complement,
    ),
    LaneVariant(
        name="4 exponents", decoded=_layout(shift=2, keep=1, invert=1), decode=_decode_near,
        product=_product_near, value=_near, shape=signed(11),
    ),
    LaneVariant(
        name="int8 MAC, DSP", decoded=_MAC, decode=lambda weight: weight, weight=signed(8),
        product=lambda byte, weight: byte * weight.factor, value=_factor, shape=signed(16),
        dsp=True,
    ),
    LaneVariant(
        name="int8 MAC, rows", decoded=_MAC, decode=lambda weight: weight, weight=signed(8),
        product=_sum_of_rows, rows=_rows, value=_factor_less_128, shape=signed(17),
    ),
)  # fmt: skip


@contextmanager
def applied(variant: LaneVariant) -> Iterator[None]:
    """Build dot products and PEs that are made meanwhile with this lane."""
    parts = {
        "DECODED": {"sac": variant.decoded},
        "decode": lambda weight, kind: variant.decode(weight),
        "product": lambda byte, weight, kind: variant.product(byte, weight),
        "product_shape": lambda kind: variant.shape,
        "weight_shape": lambda kind: variant.weight,
    }
    with (
        patch.multiple(dot_product, **{n: parts[n] for n in parts if hasattr(dot_product, n)}),
        patch.multiple(pe, **{n: parts[n] for n in parts if hasattr(pe, n)}),
    ):
        if variant.rows is None:
            yield
            return
        with patch.object(dot_product.DotProduct, "elaborate", _elaborate_rows(variant.rows)):
            yield


def _elaborate_rows(rows: Callable[[Value, Any], list[Value]]) -> Callable[[Any, Any], Module]:
    """Return the body of a dot product that adds all rows of all lanes in one tree."""

    def elaborate(unit: Any, platform: Any) -> Module:
        m = Module()
        terms: list[Value] = []
        for i in range(len(unit.features)):
            for k, row in enumerate(rows(unit.features[i], unit.weights[i])):
                term = Signal(Shape.cast(row.shape()), name=f"row_{i}_{k}", reset_less=True)
                m.d.sync += term.eq(row)
                terms.append(term)
        m.d.comb += unit.sum.eq(dot_product.add_tree(m, terms))
        return m

    return elaborate


def check(variant: LaneVariant) -> int:
    """Return how many products of a byte and a code differ from what they should be; expect 0."""
    m = Module()
    byte, weight = Signal(signed(8)), Signal(variant.weight)
    decoded, result = Signal(variant.decoded), Signal(variant.shape)
    m.d.comb += [
        Value.cast(decoded).eq(variant.decode(weight)),
        result.eq(variant.product(byte, decoded)),
    ]
    wrong = 0

    async def bench(context: Any) -> None:
        nonlocal wrong
        for code in range(1 << variant.weight.width):
            context.set(weight, code)
            for x in range(-128, 128):
                context.set(byte, x)
                wrong += context.get(result) != variant.value(x, code)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return wrong
