"""The lanes: N PEs side by side, fed with the same features."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.pe import PE
from tf2.gateware.pipeline import delayed
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import FREE_DELAY, Drain, FilterWrite, Issue, features_layout


class PEArray(wiring.Component):
    """Sum the products of N output channels at P positions over the filter words of a group.

    Latency `latency` cycles from the issue of a group's last word to `drain`; initiation interval
    1; nothing stalls. A filter word written in cycle w may be issued from cycle w on; a word
    issued in cycle w may be overwritten from cycle ``w + FREE_DELAY`` on.

    Args:
        config: Of the overlay.
        feature_latency: Cycles from an issue to its features: 1 to `FREE_DELAY` more than
            ``PE.FEATURES_AFTER``, so that a word is named after the cycle of its write.

    Members: issue In; features In: P x C x signed(8); filter_write In; drain Out, whose sums, slot
    and group bits keep their value until the next valid one.
    """

    def __init__(self, config: OverlayConfig, *, feature_latency: int) -> None:
        assert PE.FEATURES_AFTER < feature_latency <= FREE_DELAY + PE.FEATURES_AFTER
        self._config = config
        self._wait = feature_latency - PE.FEATURES_AFTER
        super().__init__({
            "issue": In(Issue(config)),
            "features": In(features_layout(config)),
            "filter_write": In(FilterWrite(config)),
            "drain": Out(Drain(config)),
        })  # fmt: skip

    @property
    def latency(self) -> int:
        """Cycles from the issue of a group's last filter word to its sums."""
        return self._wait + PE.latency(self._config)

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        issue, write = self.issue, self.filter_write
        valid = delayed(m, issue.valid, self._wait, reset=True, name="valid")
        last = delayed(m, issue.last, self._wait, name="last")
        address = delayed(m, issue.address, self._wait, name="address")
        # A `ResetInserter` around this unit does not reach PEs that are modules of their own.
        clear = Signal(init=1)
        m.d.sync += clear.eq(0)
        for n in range(self._config.outputs):
            pe = add_shared(m, f"pe_{n}", "pe", lambda: PE(self._config), platform)
            m.d.comb += [
                pe.write_en.eq(write.en),
                pe.write_address.eq(write.address),
                Value.cast(pe.write_word).eq(Value.cast(write.word[n])),
                pe.valid.eq(valid),
                pe.last.eq(last),
                pe.clear.eq(clear),
                pe.address.eq(address),
                Value.cast(pe.features).eq(Value.cast(self.features)),
            ]
            m.d.comb += [self.drain.sums[p][n].eq(pe.sums[p]) for p in range(self._config.pixels)]
        self._hand_on(m)
        return m

    def _hand_on(self, m: Module) -> None:
        """Give slot and group bits beside the sums, and keep them as long."""
        issue, drain, before = self.issue, self.drain, self.latency - 1
        last = delayed(m, issue.valid & issue.last, before, reset=True, name="drain_valid")
        m.d.sync += drain.valid.eq(last)
        for name in ("slot", "group_first", "group_last"):
            late = delayed(m, getattr(issue, name), before, name=f"drain_{name}")
            with m.If(last):
                m.d.sync += getattr(drain, name).eq(late)
