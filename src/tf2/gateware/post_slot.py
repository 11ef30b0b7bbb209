"""N lanes of post-processing: a position a cycle, all its output channels."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.gateware.post_lane import LAYER_SETTINGS, PostLane
from tf2.gateware.round_clip import MAX_SHIFT
from tf2.gateware.shared_module import add_shared

MULTIPLIERS = data.StructLayout({
    "multiplier": unsigned(8),
    "shift": range(MAX_SHIFT + 1),
    "negative_multiplier": signed(9),
    "negative_shift": range(MAX_SHIFT + 1),
})  # fmt: skip
"""Layout of a channel's multipliers and shifts."""


class PostSlot(wiring.Component):
    """Add the bias to N sums and make bytes of them: `PostLane`, N times.

    Raw, byte k of each int32 comes out unchanged, provided that the settings say multiplier 1,
    shift 0, no zero point, no residual and no range; else k is 0.

    Latency `LATENCY` cycles; initiation interval 1; nothing stalls.

    Args:
        outputs: N.

    Members: sums, biases In: N x signed(32); multipliers In: N x `MULTIPLIERS`, and byte In: k, a
    cycle after the sums; residual In: N bytes, `RESIDUAL_AFTER` cycles after; `LAYER_SETTINGS` In:
    constant while values are under way; bytes Out.
    """

    RESIDUAL_AFTER = 1 + PostLane.RESIDUAL_AFTER
    LATENCY = 1 + PostLane.LATENCY

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        bytes_ = data.ArrayLayout(signed(8), outputs)
        sums = data.ArrayLayout(signed(32), outputs)
        super().__init__({
            "sums": In(sums), "biases": In(sums),
            "multipliers": In(data.ArrayLayout(MULTIPLIERS, outputs)), "byte": In(2),
            "residual": In(bytes_), **LAYER_SETTINGS, "bytes": Out(bytes_),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        for n in range(self._outputs):
            lane = add_shared(m, f"lane_{n}", "post_lane", PostLane, platform)
            # cycle 0: the bias
            acc = Signal(signed(32), name=f"acc_{n}", reset_less=True)
            m.d.sync += acc.eq(self.sums[n] + self.biases[n])
            # cycle 1: into the lane
            m.d.comb += [
                lane.acc.eq(Cat(acc.as_unsigned().word_select(self.byte, 8), acc[8:])),
                lane.residual.eq(self.residual[n]),
                *(getattr(lane, name).eq(self.multipliers[n][name]) for name, _ in MULTIPLIERS),
                *(getattr(lane, name).eq(getattr(self, name)) for name in LAYER_SETTINGS),
                self.bytes[n].eq(Value.cast(lane.byte)),
            ]
        return m
