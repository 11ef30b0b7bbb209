"""From the sums of a group to its bytes: bias, rescaling, residual."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed
from tf2.gateware.post_lane import LAYER_SETTINGS
from tf2.gateware.post_slot import MULTIPLIERS, PostSlot
from tf2.gateware.ram import add_ram
from tf2.gateware.round_clip import range_settings
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import (
    Drain,
    ParameterWrite,
    ResidualPort,
    bytes_layout,
    layer_layout,
    one_by_one,
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

    Where positions come `one_by_one`, bytes are the N of one position, the first with `ahead`, the
    last with `valid`.
    """

    def __init__(self, config: OverlayConfig) -> None:
        octets = bytes_layout(config)
        super().__init__({
            "ahead": Out(1),
            "ahead_byte": Out(2),
            "ahead_first": Out(1),
            "valid": Out(1),
            "byte": Out(2),
            "bytes": Out(octets.elem_shape if one_by_one(config) else octets),
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

    _RESIDUAL_AFTER = 1 + PostSlot.RESIDUAL_AFTER
    _TO_BYTES = 1 + PostSlot.LATENCY
    """Cycles from taking sums: one for the multiplexer of positions, then the slot's."""

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
        return config.post_beats + cls._TO_BYTES

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, cfg = self._config, self.cfg
        raw = Signal()
        m.d.comb += raw.eq(cfg.raw & ~cfg.pool_sum)
        take, step, byte, ends = self._sequence(m, raw)
        biases, multipliers = self._parameters(m, raw)
        settings = self._settings(m, raw)
        slot_byte = delayed(m, byte, 2, name="slot_byte")
        residual_index = self._residual_index(m, step)
        popped = delayed(m, ends, self._RESIDUAL_AFTER - 1, reset=True, name="popped")
        m.d.comb += self.residual.pop.eq(popped & cfg.residual)
        taken = delayed(m, take, self._TO_BYTES, reset=True, name="taken")
        step_out = delayed(m, step, self._TO_BYTES, name="step_out")
        for s in range(config.post_pixels):
            slot = add_shared(
                m, f"slot_{s}", "post_slot", lambda: PostSlot(config.outputs), platform
            )
            positions = range(s, config.pixels, config.post_pixels)
            sums = Signal(32 * config.outputs, name=f"sums_{s}", reset_less=True)
            residual = Signal(8 * config.outputs, name=f"residual_{s}", reset_less=True)
            m.d.sync += [
                sums.eq(Array(Value.cast(self.drain.sums[p]) for p in positions)[step]),
                residual.eq(
                    Array(Value.cast(self.residual.bytes[p]) for p in positions)[residual_index]
                ),
            ]
            m.d.comb += [
                Value.cast(slot.sums).eq(sums),
                Value.cast(slot.biases).eq(biases),
                Value.cast(slot.multipliers).eq(multipliers),
                Value.cast(slot.residual).eq(residual),
                slot.byte.eq(slot_byte),
                *(getattr(slot, name).eq(value) for name, value in settings.items()),
            ]
            if one_by_one(config):
                m.d.sync += Value.cast(self.beat.bytes).eq(Value.cast(slot.bytes))
                continue
            for at, p in enumerate(positions):
                with m.If(taken & (step_out == at)):
                    m.d.sync += Value.cast(self.beat.bytes[p]).eq(Value.cast(slot.bytes))
        self._announce(m, raw, byte, ends)
        return m

    def _residual_index(self, m: Module, step: Value) -> Value:
        """Return which of its residual's bytes a slot takes: by position, or by its bank."""
        wait = self._RESIDUAL_AFTER - 1
        if not one_by_one(self._config):
            return delayed(m, step, wait, name="residual_step")
        banks = [self.cfg[f"lane{i}_residual_bank"] for i in range(self._config.pixels)]
        bank = Signal(range(self._config.pixels), name="residual_bank", reset_less=True)
        m.d.sync += bank.eq(Array(banks)[delayed(m, step, wait - 1, name="residual_step")])
        return bank

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

    def _parameters(self, m: Module, raw: Signal) -> tuple[Value, Value]:
        """Return (biases, multipliers and shifts) of the N channels, 1 and 2 cycles after the slot.

        Raw layers have multiplier 1 and shift 0.
        """
        n = self._config.outputs
        read = add_ram(
            m,
            "parameters",
            depth=self._config.parameter_slots,
            write_en=self.parameter_write.en,
            write_address=self.parameter_write.slot,
            write_data=Value.cast(self.parameter_write.parameters),
            read_address=self.drain.slot,
            in_blocks=True,  # of LUTs it would take as many as three lanes of post-processing
        )
        plain = MULTIPLIERS.const(dict.fromkeys(("multiplier", "negative_multiplier"), 1))
        seen = [data.View(_PARAMETERS, read[64 * i : 64 * i + _PARAMETERS.size]) for i in range(n)]
        late = Signal(data.ArrayLayout(MULTIPLIERS, n), reset_less=True)
        for i in range(n):
            for name, _ in MULTIPLIERS:
                m.d.sync += late[i][name].eq(Mux(raw, plain[name], seen[i][name]))
        return Cat(view.bias for view in seen), Value.cast(late)

    def _settings(self, m: Module, raw: Signal) -> dict[str, Value]:
        """Return what lanes are told for a layer, a cycle after it.

        A raw byte meets no zero point and no range. Without a residual the byte goes through.
        """
        cfg = self.cfg
        rescaled = range_settings(cfg.out_unsigned & ~raw, cfg.low, cfg.high)
        total = range_settings(
            cfg.sum_unsigned & cfg.residual,
            Mux(cfg.residual, cfg.sum_low, -128),
            Mux(cfg.residual, cfg.sum_high, 127),
        )
        told = {
            "raw": raw,
            "zero_point_low": rescaled["zero_point_low"],
            "lowest": Mux(raw, -256, rescaled["lowest"]),
            "highest": Mux(raw, 255, rescaled["highest"]),
            "y_unsigned": cfg.out_unsigned & cfg.residual,
            "r_unsigned": cfg.residual_unsigned & cfg.residual,
            "factor_y": Mux(cfg.residual, 1 << cfg.shift_y, 1),
            "factor_r": Mux(cfg.residual, 1 << cfg.shift_r, 0),
            "shift_out": Mux(cfg.residual, cfg.shift_out, 0),
            **{f"sum_{name}": value for name, value in total.items()},
        }
        settings = {}
        for name, value in told.items():
            shape = LAYER_SETTINGS[name].shape
            settings[name] = Signal(shape, name=name, reset_less=True)
            m.d.sync += settings[name].eq(value)
        return settings

    def _announce(self, m: Module, raw: Signal, byte: Signal, ends: Signal) -> None:
        """Say when a beat is there, and `LOOKAHEAD` cycles before; when a block is used up."""
        last = Signal()
        m.d.comb += last.eq(self.drain.group_last & (~raw | (byte == 3)))
        m.d.sync += self.block_done.eq(ends & last)
        before = self._TO_BYTES + 1 - LOOKAHEAD
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
