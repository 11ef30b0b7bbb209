"""One lane of post-processing: rescaling, then the residual."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.requantize import MULTIPLIERS, Requantize
from tf2.gateware.residual_add import ADD_SETTINGS, ResidualAdd
from tf2.gateware.round_clip import RANGE

LAYER_SETTINGS = {
    "raw": In(1), **RANGE, **ADD_SETTINGS,
    **{f"sum_{name}": member for name, member in RANGE.items()},
}  # fmt: skip
"""Members that are constant in a layer: whether the low byte of the accumulator is the result,
range of the rescaling, settings and range of the sum."""


class PostLane(wiring.Component):
    """Give a byte of an accumulator: `Requantize`, then `ResidualAdd`.

    Latency 11 cycles; initiation interval 1; nothing stalls. The residual is taken
    `RESIDUAL_AFTER` cycles after its accumulator.

    Members: acc In: signed(32); `MULTIPLIERS` In; residual In: byte; `LAYER_SETTINGS` In; byte Out.
    """

    RESIDUAL_AFTER = Requantize.LATENCY
    LATENCY = Requantize.LATENCY + ResidualAdd.LATENCY

    def __init__(self) -> None:
        super().__init__({
            "acc": In(signed(32)), **MULTIPLIERS, "residual": In(signed(8)), **LAYER_SETTINGS,
            "byte": Out(signed(8)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.requantize = requantize = Requantize()
        m.submodules.residual_add = add = ResidualAdd()
        m.d.comb += [
            getattr(requantize, name).eq(getattr(self, name))
            for name in ("acc", "raw", *MULTIPLIERS, *RANGE)
        ]
        m.d.comb += [getattr(add, name).eq(getattr(self, name)) for name in ADD_SETTINGS]
        m.d.comb += [getattr(add, name).eq(getattr(self, f"sum_{name}")) for name in RANGE]
        m.d.comb += [
            add.y.eq(requantize.byte),
            add.r.eq(self.residual),
            self.byte.eq(add.byte),
        ]
        return m
