"""Proofs of the queues: order, waits, room, and the rule of streams."""

from __future__ import annotations

import pytest
from amaranth.hdl import Mux
from proofs import Spec, mutant, prove, refute
from traveller import Traveller

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS, BURST_BEATS
from tf2.gateware.controller import QUEUED_TRANSFERS
from tf2.gateware.signatures import TRANSFER
from tf2.gateware.stretch_reader import StretchReader
from tf2.gateware.transfer_queue import TransferQueue

CONFIG = OverlayConfig(
    outputs=2, pixels=1, inputs=4, feature_rows=64, filter_words=16, post_pixels=1, pool_groups=4,
    ddr_bytes=4,
)  # fmt: skip


def counts_up(spec: Spec, *names: str) -> None:
    """Assume that counts never fall; a run has less than 65,536 of anything."""
    for name in names:
        count = getattr(spec.unit, name)
        spec.assume(count >= spec.past(count))


def transfer_queue(unit: type = TransferQueue, depth: int = QUEUED_TRANSFERS) -> Spec:
    spec = Spec(unit(depth=depth))
    pushed, out = spec.unit.pushed, spec.unit.ready_to_run
    counts_up(spec, "layers_done", "other_done")
    spec.keeps("ready_to_run", out)
    spec.hold("layers that were to be waited for are done",
              spec.unit.layers_done >= out.payload.wait_layers, when=out.valid)  # fmt: skip
    spec.hold("transfers that were to be waited for are done",
              spec.unit.other_done >= out.payload.wait_other, when=out.valid)  # fmt: skip
    queue = Traveller(
        spec, "queue", width=TRANSFER.size, depth=depth, buffered=False,
        entered=pushed.valid & pushed.ready, came=pushed.payload,
        left=out.valid & out.ready, head=out.payload, offered=out.valid,
    )  # fmt: skip
    spec.hold("the queue takes what it has room for", pushed.ready == (queue.level != depth))
    return spec


@pytest.mark.parametrize("depth", [3, QUEUED_TRANSFERS])
def test_transfers_leave_in_order_when_what_they_wait_for_is_done(depth):
    prove(transfer_queue(depth=depth), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.layers_done >= head.wait_layers", "self.layers_done <= head.wait_layers"),
        ("self.ready_to_run.ready & met", "self.ready_to_run.ready"),  # leaves unseen
        ("queue.w_en.eq(self.pushed.valid)", "queue.w_en.eq(1)"),
    ],
)
def test_a_broken_transfer_queue_is_found(old, new):
    refute(transfer_queue(mutant(TransferQueue, (old, new))), cycles=8)


def stretch_reader(unit: type = StretchReader, depth: int = BURST_BEATS) -> Spec:
    """A memory that gives beats that were asked for, when it likes."""
    spec = Spec(unit(CONFIG, depth=depth))
    stretch, beats, ddr = spec.unit.stretch, spec.unit.beats, spec.unit.ddr
    spec.offers(stretch)
    spec.assume(stretch.payload.address % CONFIG.ddr_bytes == 0)
    asked = ddr.request.valid & ddr.request.ready
    owed = spec.register(ADDRESS_BITS, "owed")  # beats asked for that have not come
    new = Mux(asked, ddr.request.payload.beats_last + 1, 0)
    spec.m.d.sync += owed.eq(owed + new - ddr.beat_valid)
    spec.assume(owed != 0, when=ddr.beat_valid)

    spec.keeps("ddr.request", ddr.request)
    spec.keeps("beats", beats)
    queue = Traveller(
        spec, "buffer", width=8 * CONFIG.ddr_bytes, depth=depth, buffered=True,
        entered=ddr.beat_valid, came=ddr.beat,
        left=beats.valid & beats.ready, head=beats.payload, offered=beats.valid,
    )  # fmt: skip
    spec.hold("a beat that comes has room", spec.inner("buffer.w_rdy"), when=ddr.beat_valid)
    spec.hold("idle: nothing is owed or buffered", (owed == 0) & (queue.level == 0),
              when=spec.unit.idle)  # fmt: skip
    room = spec.inner("room")
    spec.hold("room is what is neither owed nor buffered", room + owed + queue.level == depth)
    return spec


def test_beats_have_room_when_they_come_and_leave_in_order():
    prove(stretch_reader(), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("room > bursts.payload.beats_last", "room >= bursts.payload.beats_last"),
        ("- 1 + taken", "- 1"),
        ("m.d.sync += room.eq(room + 1)", "m.d.sync += room.eq(self._depth)"),
    ],
)
def test_a_broken_stretch_reader_is_found(old, new):
    refute(stretch_reader(mutant(StretchReader, (old, new))), cycles=24)
