"""Global sums: of a whole raster, channel by channel, then as int32 or rescaled to a byte."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.channel_sum import ChannelSum
from tf2.gateware.pipeline import delayed, stages
from tf2.gateware.requantize import Requantize
from tf2.gateware.round_clip import range_settings
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import bytes_layout, layer_layout, one_by_one


class SumPool(wiring.Component):
    """Give ``sum_bias + sum(bytes inside)`` of each channel once a group of outputs.

    Raw layers get it as four bytes, four cycles in a row; others rescaled by the one multiplier of
    the layer, the N channels one after the other.

    Latency `latency(config, raw)` cycles from the last group to the (first) beat; initiation
    interval 1 for groups, N (raw: 4) cycles for last groups; nothing stalls.

    Members: cfg In: fields of the layer, constant while its groups are under way; valid, bytes,
    group_first, group_last In; inside In: P bits, which positions count; beat Out; byte Out: k of a
    raw int32, else 0; total Out: N bytes with the beat; last Out: the last beat of the sum. Where
    positions come `one_by_one`, bytes are the N of one position, the last with `valid`, and inside
    keeps its value as long as they take.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        octets = bytes_layout(config)
        super().__init__({
            "cfg": In(layer_layout(config)),
            "valid": In(1),
            "bytes": In(octets.elem_shape if one_by_one(config) else octets),
            "inside": In(config.pixels),
            "group_first": In(1),
            "group_last": In(1),
            "beat": Out(1),
            "byte": Out(2),
            "total": Out(data.ArrayLayout(signed(8), config.outputs)),
            "last": Out(1),
        })  # fmt: skip

    @staticmethod
    def latency(config: OverlayConfig, *, raw: bool) -> int:
        """Return the cycles from the last group to the (first) beat of its sum."""
        rescaling = 0 if raw else Requantize.LATENCY + config.outputs
        return ChannelSum.latency(config.pixels) + 1 + rescaling

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config = self._config
        ended = self.valid & self.group_last
        done = delayed(m, ended, ChannelSum.latency(config.pixels), reset=True, name="done")
        valid, first, inside, octets = self._terms(m)
        sums = []
        for n in range(config.outputs):
            channel = add_shared(
                m, f"channel_{n}", "channel_sum", lambda: ChannelSum(len(inside)), platform
            )
            m.d.comb += [
                channel.valid.eq(valid),
                channel.first.eq(first),
                channel.inside.eq(inside),
                channel.bias.eq(self.cfg.sum_bias),
                *(channel.bytes[p].eq(octets[p][n]) for p in range(len(inside))),
            ]
            sums.append(channel.sum)
        self._hand_out(m, Cat(sums), done)
        return m

    def _terms(self, m: Module) -> tuple[Value, Value, Value, list[Any]]:
        """Return (valid, first, inside, bytes) as `ChannelSum` gets them."""
        pixels = self._config.pixels
        if not one_by_one(self._config):
            lanes = [self.bytes[p] for p in range(pixels)]
            return self.valid, self.group_first, self.inside, lanes
        octets = delayed(m, self.bytes, pixels - 1, name="octets")
        here = stages(m, self.valid, pixels - 1, reset=True, name="here")
        inside = Cat(here) & self.inside
        return Cat(here).any(), self.valid & self.group_first, inside.any(), [octets]

    def _hand_out(self, m: Module, sums: Value, done: Signal) -> None:
        """Take the sums into a shift register, and from there out, byte by byte."""
        n, cfg = self._config.outputs, self.cfg
        m.submodules.requantize = requantize = Requantize()
        waiting = Signal(32 * n, reset_less=True)
        byte = Signal(2)
        raw_beat = Signal()
        going = Signal(range(n + 1))  # channels still to be rescaled
        with m.If(done):
            m.d.sync += [
                waiting.eq(sums), byte.eq(0), raw_beat.eq(cfg.raw), going.eq(Mux(cfg.raw, 0, n))
            ]  # fmt: skip
        with m.Else():
            with m.If(cfg.raw):
                m.d.sync += [byte.eq(byte + 1), raw_beat.eq(raw_beat & (byte != 3))]
            with m.Else():
                m.d.sync += [waiting.eq(waiting >> 32), going.eq(Mux(going == 0, 0, going - 1))]
        m.d.comb += [
            requantize.acc.eq(waiting[:32]),
            requantize.multiplier.eq(cfg.sum_multiplier),
            requantize.negative_multiplier.eq(cfg.sum_multiplier),
            requantize.shift.eq(cfg.sum_shift),
            requantize.negative_shift.eq(cfg.sum_shift),
            *(
                getattr(requantize, name).eq(value)
                for name, value in range_settings(cfg.sum_out_unsigned, C(-128), C(127)).items()
            ),
        ]
        rescaled = Signal(8 * n, reset_less=True)
        came = delayed(m, going != 0, Requantize.LATENCY, reset=True, name="came")
        complete = delayed(m, going == 1, Requantize.LATENCY + 1, reset=True, name="complete")
        with m.If(came):
            m.d.sync += rescaled.eq(Cat(rescaled[8:], requantize.byte))
        raw_bytes = Cat(waiting.word_select(i, 32).word_select(byte, 8) for i in range(n))
        m.d.comb += [
            self.beat.eq(complete | raw_beat),
            self.byte.eq(Mux(raw_beat, byte, 0)),
            self.last.eq(complete | (byte == 3)),
            Value.cast(self.total).eq(Mux(cfg.raw, raw_bytes, rescaled)),
        ]
