"""Where the lanes of an overlay go: every lane of every cycle has one cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from tf2.arch import OverlayConfig
from tf2.isa import Layer
from tf2.sim.device import Counters


@dataclass(frozen=True)
class LaneCycles:
    """Lanes times cycles by what they were for; together they are lanes x cycles, exactly.

    Attributes:
        used: Useful multiply-accumulates.
        channels: Channels and taps that do not fill whole words of N outputs and C inputs, zeros
            between the rows of a transposed convolution, and rows computed twice between stripes.
        positions: Positions of a raster beyond the layer's map: its last group, its padding.
        rate: Groups that take longer behind the array than in it.
        borders: From a layer's last word to the next layer's first. Of one layer alone: from the
            last output of the layer before to its own, less its issues and waits; below 0 where it
            begins early behind a layer whose outputs come late.
        filters: Waiting for a filter word.
        waiting: Waiting for an instruction, a load or a store.
    """

    used: int = 0
    channels: int = 0
    positions: int = 0
    rate: int = 0
    borders: int = 0
    filters: int = 0
    waiting: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(self))

    def plus(self, more: LaneCycles) -> LaneCycles:
        """Return both together."""
        return LaneCycles(
            **{f.name: getattr(self, f.name) + getattr(more, f.name) for f in fields(self)}
        )

    def shares(self) -> dict[str, float]:
        """Return each as a share of all."""
        return {f.name: getattr(self, f.name) / max(1, self.total) for f in fields(self)}


def lane_cycles(
    layers: Iterable[Layer], spent: Counters, config: OverlayConfig, *, issued: int
) -> LaneCycles:
    """Return where the lanes went while these layers ran.

    Args:
        layers: Instructions.
        spent: What the overlay counted from the end of the layer before to the end of the last.
        config: The overlay.
        issued: Cycles from the first to the last issue of each layer, stalls left out
            (`isa.timing.issue_cycles`).
    """
    macs = slots = busy = 0
    for layer in layers:
        macs += layer.macs
        words = layer.out_groups * layer.kernel.length
        slots += words * config.outputs * config.inputs * layer.height * layer.width
        busy += words * layer.groups  # the counter has issues of the layer behind, too
    cycles = spent.cycles - spent.stall_filter - spent.waiting
    return LaneCycles(
        used=macs,
        channels=slots - macs,
        positions=busy * config.lanes - slots,
        rate=(issued - busy) * config.lanes,
        borders=(cycles - issued) * config.lanes,
        filters=spent.stall_filter * config.lanes,
        waiting=spent.waiting * config.lanes,
    )
