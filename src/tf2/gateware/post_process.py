"""From the sums of a group to its bytes: bias, rescaling, residual."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out, Signature

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed
from tf2.gateware.post_lane import PostLane
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import (
    PARAMETER_SLOTS,
    Drain,
    ParameterWrite,
    ResidualPort,
    bytes_layout,
    layer_layout,
)
from tf2.isa.filters import PARAMETER_FIELDS

LOOKAHEAD = 2
"""Cycles by which `GroupBeat.ahead` announces a beat: time for `RasterWalk`."""

_PARAMETERS = data.StructLayout(
    {name: signed(bits) if is_signed else bits for name, bits, is_signed in PARAMETER_FIELDS}
)


class GroupBeat(Signature):
    """Post-processing -> pooling: the bytes of one group.

    Members: ahead, ahead_byte, ahead_first: `valid`, `byte` and `group_first` `LOOKAHEAD` cycles
    earlier; valid; byte: k of a raw int32, else 0; bytes: valid in that cycle only; group_first: in
    the first group of the raster; group_last: the last beat of this group of outputs.
    """

    def __init__(self, config: OverlayConfig) -> None:
        super().__init__({
            "ahead": Out(1),
            "ahead_byte": Out(2),
            "ahead_first": Out(1),
            "valid": Out(1),
            "byte": Out(2),
            "bytes": Out(bytes_layout(config)),
            "group_first": Out(1),
            "group_last": Out(1),
        })  # fmt: skip


class PostProcess(wiring.Component):
    """Give the bytes of every group of sums, `OverlayConfig.post_pixels` positions a cycle.

    A raw layer gives its int32 sums instead, in four beats, byte 0 first.

    Latency `latency(config)` cycles from `drain` to its (first) beat; initiation interval
    `post_beats` cycles, for raw layers 4 times the larger of that and the segments; nothing stalls.

    Args:
        config: Of the overlay.

    Members: cfg In: fields of the layer, constant while its groups are under way; drain In;
    parameter_write In; residual In: popped once a group of a layer that has one; beat Out;
    block_done Out: a pulse, the parameters of a block have been read for the last time.
    """

    _TO_LANE = 2
    """Cycles from taking sums to `PostLane`: the multiplexer, the bias."""

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "drain": In(Drain(config)),
            "parameter_write": In(ParameterWrite(config)),
            "residual": In(ResidualPort(config)),
            "beat": Out(GroupBeat(config)),
            "block_done": Out(1),
        })  # fmt: skip

    @classmethod
    def latency(cls, config: OverlayConfig) -> int:
        """Return the cycles from a drain to the (first) beat of its group."""
        return config.post_beats + cls._TO_LANE + PostLane.LATENCY

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, cfg = self._config, self.cfg
        raw = Signal()
        m.d.comb += raw.eq(cfg.raw & ~cfg.pool_sum)
        take, step, byte, ends = self._sequence(m, raw)
        parameters = self._parameters(m, raw)
        residuals = self._residuals(m, step, ends)
        settings = self._settings(m, raw)
        byte_late = delayed(m, byte, self._TO_LANE, name="byte_late")
        out = self._TO_LANE + PostLane.LATENCY
        taken = delayed(m, take, out, reset=True, name="taken")
        step_out = delayed(m, step, out, name="step_out")
        for slot in range(config.post_pixels):
            positions = range(slot, config.pixels, config.post_pixels)
            for n in range(config.outputs):
                lane = add_shared(m, f"lane_{slot}_{n}", "post_lane", PostLane, platform)
                bias, multipliers = parameters[n]
                # cycle 0: the position
                chosen = Signal(signed(32), name=f"chosen_{slot}_{n}", reset_less=True)
                m.d.sync += chosen.eq(Array(self.drain.sums[p][n] for p in positions)[step])
                # cycle 1: the bias
                acc = Signal(signed(32), name=f"acc_{slot}_{n}", reset_less=True)
                m.d.sync += acc.eq(chosen + bias)
                # cycle 2: into the lane, through which a byte of a raw sum goes unchanged
                raw_byte = Signal(signed(8), name=f"raw_byte_{slot}_{n}")
                m.d.comb += [
                    raw_byte.eq(acc.as_unsigned().word_select(byte_late, 8)),
                    lane.acc.eq(Mux(raw, raw_byte, acc)),
                    lane.residual.eq(residuals[slot][n]),
                    *(getattr(lane, name).eq(value) for name, value in multipliers.items()),
                    *(getattr(lane, name).eq(value) for name, value in settings.items()),
                ]
                for at, p in enumerate(positions):
                    with m.If(taken & (step_out == at)):
                        m.d.sync += self.beat.bytes[p][n].eq(lane.byte)
        self._announce(m, raw, byte, ends)
        return m

    def _sequence(self, m: Module, raw: Signal) -> tuple[Signal, Signal, Signal, Signal]:
        """Return (take, step, byte, ends): which positions are taken now, for which byte.

        `ends`: these are the last ones of a beat.
        """
        beats = self._config.post_beats
        active, running = Signal(), Signal()
        next_step, next_byte = Signal(range(max(16, beats) + 1)), Signal(2)
        step, byte, last = Signal.like(next_step), Signal(2), Signal.like(next_step)
        take, ends = Signal(), Signal()
        segmented = raw & (self.cfg.segments_last > beats - 1)
        m.d.comb += [
            running.eq(self.drain.valid | active),
            step.eq(Mux(self.drain.valid, 0, next_step)),
            byte.eq(Mux(self.drain.valid, 0, next_byte)),
            last.eq(Mux(segmented, self.cfg.segments_last, beats - 1)),
            take.eq(running & (step < beats)),
            ends.eq(running & (step == beats - 1)),
        ]
        m.d.sync += [active.eq(running), next_step.eq(step + 1), next_byte.eq(byte)]
        with m.If(step == last):
            m.d.sync += [
                active.eq(running & raw & (byte != 3)),
                next_step.eq(0),
                next_byte.eq(byte + 1),
            ]
        return take, step, byte, ends

    def _parameters(self, m: Module, raw: Signal) -> list[tuple[Value, dict[str, Signal]]]:
        """Return (bias, multipliers and shifts) of the N channels, 1 and 2 cycles after the slot.

        Raw layers have multiplier 1 and shift 0.
        """
        block = memory.Memory(
            shape=64 * self._config.outputs,
            depth=PARAMETER_SLOTS,
            init=[],
            attrs={"no_rw_check": 1},
        )
        m.submodules.parameters = block
        write, read = block.write_port(), block.read_port()
        m.d.comb += [
            write.en.eq(self.parameter_write.en),
            write.addr.eq(self.parameter_write.slot),
            write.data.eq(Value.cast(self.parameter_write.parameters)),
            read.addr.eq(self.drain.slot),
        ]
        plain = {"multiplier": 1, "shift": 0, "negative_multiplier": 1, "negative_shift": 0}
        parameters = []
        for n in range(self._config.outputs):
            seen = data.View(_PARAMETERS, read.data[64 * n : 64 * n + _PARAMETERS.size])
            late = {
                name: Signal(seen[name].shape(), name=f"{name}_{n}", reset_less=True)
                for name in plain
            }
            for name, value in plain.items():
                m.d.sync += late[name].eq(Mux(raw, value, seen[name]))
            parameters.append((seen.bias, late))
        return parameters

    def _residuals(self, m: Module, step: Signal, ends: Signal) -> list[list[Value]]:
        """Return the residual bytes of the lanes [slot][channel], when the lanes want them."""
        config = self._config
        before = self._TO_LANE + PostLane.RESIDUAL_AFTER - 1
        at = delayed(m, step, before, name="residual_step")
        done = delayed(m, ends, before, reset=True, name="residual_ends")
        m.d.comb += self.residual.pop.eq(done & self.cfg.residual)
        rows = []
        for slot in range(config.post_pixels):
            positions = range(slot, config.pixels, config.post_pixels)
            row = Signal(8 * config.outputs, name=f"residual_{slot}", reset_less=True)
            m.d.sync += row.eq(Array(Value.cast(self.residual.bytes[p]) for p in positions)[at])
            rows.append([row[8 * n : 8 * n + 8].as_signed() for n in range(config.outputs)])
        return rows

    def _settings(self, m: Module, raw: Signal) -> dict[str, Value]:
        """Return what lanes are told for a layer; a raw byte meets no zero point and no range."""
        cfg = self.cfg
        low, high = Signal(signed(8), name="low"), Signal(signed(8), name="high")
        m.d.comb += [low.eq(Mux(raw, -128, cfg.low)), high.eq(Mux(raw, 127, cfg.high))]
        return {
            "zero_point_low": cfg.out_unsigned & ~raw, "low": low, "high": high,
            "enable": cfg.residual, "y_unsigned": cfg.out_unsigned,
            "r_unsigned": cfg.residual_unsigned, "shift_y": cfg.shift_y, "shift_r": cfg.shift_r,
            "shift_out": cfg.shift_out, "sum_zero_point_low": cfg.sum_unsigned,
            "sum_low": cfg.sum_low, "sum_high": cfg.sum_high,
        }  # fmt: skip

    def _announce(self, m: Module, raw: Signal, byte: Signal, ends: Signal) -> None:
        """Say when a beat is there, and `LOOKAHEAD` cycles before; when a block is used up."""
        last = Signal()
        m.d.comb += last.eq(self.drain.group_last & (~raw | (byte == 3)))
        m.d.sync += self.block_done.eq(ends & last)
        before = self._TO_LANE + PostLane.LATENCY + 1 - LOOKAHEAD
        beat = self.beat
        m.d.comb += [
            beat.ahead.eq(delayed(m, ends, before, reset=True, name="ahead")),
            beat.ahead_byte.eq(delayed(m, byte, before, name="ahead_byte")),
            beat.ahead_first.eq(delayed(m, self.drain.group_first, before, name="ahead_first")),
            beat.valid.eq(delayed(m, beat.ahead, LOOKAHEAD, reset=True, name="valid")),
            beat.byte.eq(delayed(m, beat.ahead_byte, LOOKAHEAD, name="byte")),
            beat.group_first.eq(delayed(m, beat.ahead_first, LOOKAHEAD, name="group_first")),
            beat.group_last.eq(delayed(m, last, before + LOOKAHEAD, name="group_last")),
        ]
