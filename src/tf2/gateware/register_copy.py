"""Copies of a register, for what has many users far apart."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.shared_module import add_shared


class RegisterCopy(wiring.Component):
    """Give a bit a cycle later; a module of its own, so that synthesis merges no two of them.

    Latency 1 cycle; never reset, 0 at first.

    Members: i In; o Out.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        bit = Signal(reset_less=True)
        m.d.sync += bit.eq(self.i)
        m.d.comb += self.o.eq(bit)
        return m


def copies(m: Module, bit: Value, count: int, *, name: str, platform: Any) -> list[Value]:
    """Return the bit as it was a cycle ago, in so many registers."""
    outputs = []
    for k in range(count):
        copy = add_shared(m, f"{name}_{k}", "register_copy", RegisterCopy, platform)
        m.d.comb += copy.i.eq(bit)
        outputs.append(copy.o)
    return outputs
