"""Sum of the products of C lanes: one position, one output channel, one tap."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import LaneKind
from tf2.gateware.lane import DECODED, product, product_shape


def tree_latency(terms: int) -> int:
    """Return the cycles that `add_tree` takes."""
    return (terms - 1).bit_length()


def add_tree(m: Module, terms: list[Value], name: str = "sum") -> Signal | Value:
    """Return the exact sum of signed terms `tree_latency` cycles later, in balanced pairs.

    Each level of adders ends in registers: they cost nothing, as they lie behind the adders, and
    yosys would make four terms without one between into carry-save adders, of twice the LUTs.
    """
    level = 0
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[0::2], terms[1::2], strict=False)]
        if len(terms) % 2:
            pairs.append(terms[-1])
        level += 1
        registers: list[Value] = [
            Signal(pair.shape(), name=f"{name}{level}_{i}", reset_less=True)
            for i, pair in enumerate(pairs)
        ]
        m.d.sync += [register.eq(pair) for register, pair in zip(registers, pairs, strict=True)]
        terms = registers
    return terms[0]


def sum_shape(kind: LaneKind, inputs: int) -> Shape:
    """Return the shape of a dot product of that many lanes: exact."""
    return signed(product_shape(kind).width + (inputs - 1).bit_length())


class DotProduct(wiring.Component):
    """Multiply C bytes by C decoded weights and add; exact.

    Latency `latency(inputs)` cycles; initiation interval 1; nothing stalls.

    Args:
        kind: Of the lanes.
        inputs: C, at least 1.

    Members: features In: C x signed(8); weights In: C x `lane.DECODED`; sum Out: `sum_shape`,
    ``sum of lane products``.
    """

    def __init__(self, kind: LaneKind, inputs: int) -> None:
        self._kind: LaneKind = kind
        self._inputs = inputs
        super().__init__({
            "features": In(data.ArrayLayout(signed(8), inputs)),
            "weights": In(data.ArrayLayout(DECODED[kind], inputs)),
            "sum": Out(sum_shape(kind, inputs)),
        })  # fmt: skip

    @staticmethod
    def latency(inputs: int) -> int:
        """Return the cycles from members `features` and `weights` to `sum`."""
        return 1 + tree_latency(inputs)

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        products: list[Value] = []
        for i in range(self._inputs):
            lane = Signal(product_shape(self._kind), name=f"product_{i}", reset_less=True)
            m.d.sync += lane.eq(product(self.features[i], self.weights[i], self._kind))
            products.append(lane)
        m.d.comb += self.sum.eq(add_tree(m, products))
        return m
