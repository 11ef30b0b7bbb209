"""The layer that a stage of the array works for."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.register_copy import copies
from tf2.gateware.signatures import layer_layout

ENABLED_BITS = 128
"""Of a layer, with one enable: they end up all over the chip."""


class LayerRegister(wiring.Component):
    """Keep the layer that is there a cycle after `take`.

    Latency `LATENCY` cycles from `take` to `start`, the first cycle of the new cfg. Fields that the
    stage does not use cost nothing: synthesis leaves them out.

    Args:
        config: Of the overlay.

    Members: layer In; take In: strobe; cfg Out: keeps its value until the next `start`; start Out.
    """

    LATENCY = 2

    def __init__(self, config: OverlayConfig) -> None:
        layout = layer_layout(config)
        super().__init__({
            "layer": In(layout), "take": In(1), "cfg": Out(layout), "start": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        cfg, layer = Value.cast(self.cfg), Value.cast(self.layer)
        parts = range(0, len(cfg), ENABLED_BITS)
        enables = copies(m, self.take, len(parts), name="enable", platform=platform)
        for part, enable in zip(parts, enables, strict=True):
            end = min(part + ENABLED_BITS, len(cfg))
            with m.If(enable):
                m.d.sync += cfg[part:end].eq(layer[part:end])
        taken = Signal()
        m.d.sync += [taken.eq(self.take), self.start.eq(taken)]
        return m
