"""When the overlay runs, and why it stopped."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch.register_map import ErrorCode

SETTLE_CYCLES = 63
"""Cycles after a run cut short until the next may begin: what is in the pipelines falls out."""


class RunControl(wiring.Component):
    """Begin runs, end them when finished or at the first error, and see the buses drained.

    All that works on a program is held in reset while `running` is low. An error is reported at
    once; a run that finished is, when the buses are idle. A start that comes while they drain is
    remembered; if they never do, the watchdog reports it.

    Members: start, abort In: strobes from the host; finished In; drained In: the buses are idle;
    errors In(7): bit ErrorCode; watchdog In(32): cycles without progress that are one, 0 for never;
    progress In; running Out; begins Out: strobe, a run begins in the next cycle; ends Out: strobe,
    a run is finished or an error reported; busy, done, error Out; code Out(8): ErrorCode.
    """

    def __init__(self) -> None:
        super().__init__({
            "start": In(1),
            "abort": In(1),
            "finished": In(1),
            "drained": In(1),
            "errors": In(max(ErrorCode) + 1),
            "watchdog": In(32),
            "progress": In(1),
            "running": Out(1),
            "begins": Out(1),
            "ends": Out(1),
            "busy": Out(1),
            "done": Out(1),
            "error": Out(1),
            "code": Out(8),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        wanted = Signal()  # a start not yet obeyed
        complete = Signal()  # the run that is being drained had finished
        settle = Signal(range(SETTLE_CYCLES + 1))
        late = self._watchdog(m, wanted)
        errors = Signal.like(self.errors)
        m.d.comb += errors.eq(self.errors | (late << ErrorCode.WATCHDOG))

        with m.If(self.start):
            m.d.sync += wanted.eq(1)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(wanted):
                    m.d.comb += self.begins.eq(1)
                    m.d.sync += [wanted.eq(0), self.done.eq(0), self.error.eq(0), self.code.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                m.d.sync += [complete.eq(self.finished), settle.eq(SETTLE_CYCLES)]
                with m.If(self.abort):
                    m.next = "DRAIN"
                with m.Elif(errors.any()):
                    self._report(m, errors)
                    m.d.sync += complete.eq(0)
                    m.next = "DRAIN"
                with m.Elif(self.finished):
                    m.d.sync += settle.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += settle.eq(Mux(settle == 0, 0, settle - 1))
                with m.If(self.drained & (settle == 0)):
                    m.d.comb += self.ends.eq(complete)
                    m.d.sync += self.done.eq(complete)
                    m.next = "IDLE"
                with m.Elif(late):
                    self._report(m, errors)
                    m.d.sync += wanted.eq(0)
        with m.If(self.abort):
            m.d.sync += [wanted.eq(0), complete.eq(0)]
            m.d.sync += [self.done.eq(0), self.error.eq(0), self.code.eq(0)]
        m.d.comb += self.busy.eq(wanted | ~fsm.ongoing("IDLE"))
        return m

    def _report(self, m: Module, errors: Signal) -> None:
        m.d.comb += self.ends.eq(1)
        m.d.sync += self.error.eq(1)
        for code in reversed(ErrorCode):
            with m.If(errors[code]):
                m.d.sync += self.code.eq(code)

    def _watchdog(self, m: Module, wanted: Signal) -> Signal:
        """Return a strobe: as many cycles as allowed have passed without progress."""
        idle, late = Signal(32), Signal()
        waits = self.running | wanted
        m.d.comb += late.eq(waits & (self.watchdog != 0) & (idle == self.watchdog))
        m.d.sync += idle.eq(idle + 1)
        with m.If(self.progress | ~waits | late):
            m.d.sync += idle.eq(0)
        return late
