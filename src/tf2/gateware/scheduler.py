"""Runs layers: which filter word and which tap each cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.layer_register import LayerRegister
from tf2.gateware.pipeline import delayed
from tf2.gateware.signatures import (
    FREE_DELAY,
    Issue,
    Tap,
    layer_layout,
    row_bits,
    word_bits,
)
from tf2.isa.encoding import BANK, START_AFTER


class Scheduler(wiring.Component):
    """Issue the filter words of one layer after the other, one a cycle, in order.

    A layer is ``for block, for group, for z, for y, for x, for word``; a group takes exactly
    cfg.interval cycles, and one more for each cycle in which its next filter word has not come yet.
    The first issue of the next layer comes its start_after cycles after the last of the present
    one, or later where it is offered later. At the latest it is taken `TAKE_LATENCY` cycles after
    the present one's last output is written, or where start_after is 0; its first issue is
    `START_LATENCY` cycles after that. A layer is offered when all before the present one are
    written. Reset forgets everything; the two counts of filter words begin at 0.

    Args:
        config: Of the overlay.

    Members:
        layers: In(stream of `layer_layout`).
        cfg: Out; the layer that is issued, for all that an issue causes a cycle later or in the
            first cycles after.
        start: Out; the first cycle of cfg.
        issue: Out(`Issue`).
        tap: Out(`Tap`); valid with issue.
        filters_loaded: In; filter words that can be read from the Filter Caches, counted modulo
            2 * filter_words.
        filters_freed: Out; words that are needed no more, `FREE_DELAY` cycles after their last
            issue. The words of a block are given back during the last group.
        written: In; a layer's last output is being written.
        layer_done: Out; a cycle a layer.
        stall_filter: Out; nothing is issued because a filter word has not come.
        waiting: Out; there is no layer.
    """

    TAKE_LATENCY = LayerRegister.LATENCY - 1  # cycle, to tell all registers of a layer
    START_LATENCY = 2  # cycles from a layer being taken to its first issue

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "layers": In(stream.Signature(layer_layout(config))),
            "cfg": Out(layer_layout(config)),
            "start": Out(1),
            "issue": Out(Issue(config)),
            "tap": Out(Tap(config)),
            "filters_loaded": In(word_bits(config) + 1),
            "filters_freed": Out(word_bits(config) + 1),
            "written": In(1),
            "layer_done": Out(1),
            "stall_filter": Out(1),
            "waiting": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        go, issuing, all_issued = Signal(), Signal(), Signal()
        takes, taken = Signal(), Signal()
        due, alone = self._follow(m, takes, all_issued)
        m.d.comb += self.layer_done.eq(self.written)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += [takes.eq(self.layers.valid), self.waiting.eq(1)]
                with m.If(takes):
                    m.next = "take"
            with m.State("take"):
                m.d.comb += [taken.eq(1), self.layers.ready.eq(1)]
                m.next = "issue"
            with m.State("issue"):
                m.d.comb += issuing.eq(1)
                with m.If(all_issued):
                    m.next = "drain"
            with m.State("drain"):
                m.d.comb += takes.eq(self.layers.valid & (due | (self.written & alone)))
                with m.If(takes):
                    m.next = "take"
                with m.Elif(self.written & alone):
                    m.next = "idle"
        m.submodules.cfg = register = LayerRegister(self._config)
        m.d.comb += [
            register.layer.eq(self.layers.payload),
            register.take.eq(takes),
            self.cfg.eq(register.cfg),
            self.start.eq(register.start),
        ]
        steps = self._count(m, taken, issuing, go, all_issued)
        self._walk_taps(m, *steps)
        self._give_back(m)
        return m

    def _follow(self, m: Module, takes: Value, all_issued: Value) -> tuple[Signal, Signal]:
        """Return whether the next layer may be taken, and whether only one is not written yet.

        The first counts in a cycle after the last issue; taken then, the next one's first issue
        comes as many cycles after it as `since` says.
        """
        after = self.layers.payload.start_after
        since, due = Signal(START_AFTER), Signal()
        m.d.comb += due.eq((after != 0) & (since >= after))
        with m.If(all_issued):
            m.d.sync += since.eq(self.TAKE_LATENCY + self.START_LATENCY)
        with m.Elif(~since.all()):
            m.d.sync += since.eq(since + 1)
        alone = Signal(init=1)
        with m.If(self.written):
            m.d.sync += alone.eq(1)
        with m.Elif(takes & ~self.waiting):
            m.d.sync += alone.eq(0)
        return due, alone

    def _count(
        self, m: Module, taken: Value, issuing: Value, go: Value, all_issued: Value
    ) -> tuple[Value, Value, Value]:
        """Add the loop counters; return (ends of word, x and y loops) of the issue."""
        cfg, payload = self.cfg, self.layers.payload
        slack = Signal(cfg.interval.shape())  # cycles at a group's end without an issue
        rest = Signal.like(slack)
        word, x, y, z = (
            Signal(getattr(cfg, f"{name}_last").shape(), name=name)
            for name in ("words", "x", "y", "z")
        )
        group, block = Signal(cfg.groups_last.shape()), Signal(cfg.out_groups_last.shape())
        slot = Signal(range(self._config.parameter_slots))
        begin = Signal(word_bits(self._config) + 1)  # of the block in the stream of filter words
        wanted = Signal.like(begin)
        with m.If(taken):
            m.d.sync += slack.eq(payload.interval - payload.length)

        present, last = Signal(), Signal()
        word_ends, x_ends, y_ends, group_ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            present.eq(wanted != self.filters_loaded),
            go.eq(issuing & (rest == 0) & present),
            self.stall_filter.eq(issuing & (rest == 0) & ~present),
            word_ends.eq(word == cfg.words_last),
            x_ends.eq(word_ends & (x == cfg.x_last)),
            y_ends.eq(x_ends & (y == cfg.y_last)),
            last.eq(y_ends & (z == cfg.z_last)),
            group_ends.eq(group == cfg.groups_last),
            all_issued.eq(go & last & group_ends & (block == cfg.out_groups_last)),
        ]
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        with m.If(go):
            m.d.sync += [
                wanted.eq(wanted + 1),
                word.eq(Mux(word_ends, 0, word + 1)),
            ]
            with m.If(word_ends):
                m.d.sync += x.eq(Mux(x_ends, 0, x + 1))
            with m.If(x_ends):
                m.d.sync += y.eq(Mux(y_ends, 0, y + 1))
            with m.If(y_ends):
                m.d.sync += z.eq(Mux(last, 0, z + 1))
            with m.If(last):
                m.d.sync += [rest.eq(slack), group.eq(Mux(group_ends, 0, group + 1))]
                with m.If(group_ends):
                    m.d.sync += [begin.eq(wanted + 1), slot.eq(slot + 1), block.eq(block + 1)]
                with m.Else():
                    m.d.sync += wanted.eq(begin)
        with m.If(all_issued):
            m.d.sync += [block.eq(0), rest.eq(0)]

        ends = Signal(3, reset_less=True)
        m.d.sync += self.issue.valid.eq(go)
        m.d.sync += [
            ends.eq(word_ends + x_ends + y_ends),
            self.issue.last.eq(last),
            self.issue.address.eq(wanted),
            self.issue.slot.eq(slot),
            self.issue.group_first.eq(group == 0),
            self.issue.group_last.eq(group_ends),
        ]
        return ends == 1, ends == 2, ends == 3

    def _walk_taps(self, m: Module, to_x: Value, to_y: Value, to_z: Value) -> None:
        """Add the tap's position: moves on behind each issue, back at the end of a group."""
        cfg, tap, pixels = self.cfg, self.tap, self._config.pixels
        plane, next_plane = Signal(row_bits(self._config)), Signal(row_bits(self._config))
        every = Signal(cfg.word_every_last.shape())
        step_bank, step_row = Signal(BANK), Signal(row_bits(self._config))
        bank, over = Signal(BANK + 1), Signal()
        m.d.comb += [step_bank.eq(cfg.tap_word_bank), step_row.eq(cfg.tap_word_row)]
        for chosen, name in ((to_x, "tap_x"), (to_y, "tap_y"), (to_z, "tap_z")):
            with m.If(chosen):
                m.d.comb += [
                    step_bank.eq(cfg[f"{name}_bank"]),
                    step_row.eq(cfg[f"{name}_row"]),
                ]
        every_ends = Signal()
        m.d.comb += [
            bank.eq(tap.bank + step_bank),
            over.eq(bank >= pixels),
            every_ends.eq(self.issue.group_last & (every == cfg.word_every_last)),
            next_plane.eq(Mux(every_ends, plane + cfg.group_rows, plane)),
        ]
        with m.If(self.start):
            m.d.sync += [tap.bank.eq(0), tap.row.eq(0), tap.y.eq(0), tap.x.eq(0)]
            m.d.sync += [plane.eq(0), every.eq(0)]
        with m.Elif(self.issue.valid & self.issue.last):
            m.d.sync += [tap.bank.eq(0), tap.row.eq(next_plane), tap.y.eq(0), tap.x.eq(0)]
            m.d.sync += plane.eq(next_plane)
            with m.If(self.issue.group_last):
                m.d.sync += every.eq(Mux(every_ends, 0, every + 1))
        with m.Elif(self.issue.valid):
            m.d.sync += [
                tap.bank.eq(Mux(over, bank - pixels, bank)),
                tap.row.eq(tap.row + step_row + over),
            ]
            with m.If(to_x):
                m.d.sync += tap.x.eq(tap.x + cfg.dilation_x)
            with m.Elif(to_y | to_z):
                m.d.sync += tap.x.eq(0)
            with m.If(to_y):
                m.d.sync += tap.y.eq(tap.y + cfg.dilation_y)
            with m.Elif(to_z):
                m.d.sync += tap.y.eq(0)

    def _give_back(self, m: Module) -> None:
        used = delayed(m, self.issue.valid & self.issue.group_last, FREE_DELAY - 1, reset=True)
        m.d.sync += self.filters_freed.eq(self.filters_freed + used)
