"""Proofs of the two masters of DDR: rules of AXI, the window, the choice, who gets which beat."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Cat, Mux, Value
from amaranth.lib import data
from proofs import Spec, mutant, prove, refute
from traveller import Traveller

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS, BURST_BEATS
from tf2.gateware.ddr_reader import DdrReader
from tf2.gateware.ddr_writer import DdrWriter

pytestmark = pytest.mark.slow  # half a minute of the solver

CONFIG = OverlayConfig(
    outputs=2, pixels=1, inputs=4, feature_rows=64, filter_words=16, post_pixels=1, pool_groups=4,
    ddr_bytes=16,
)  # fmt: skip
CLIENTS = 3
PAGE = 4096


def any_window(spec: Spec) -> None:
    """Any arena that ends within 40 bits of address, the same while bursts are under way."""
    base, size = spec.unit.base, spec.unit.size
    for value in (base, size):
        spec.assume(value == spec.past(value), when=~spec.first)
    spec.assume((base % PAGE == 0) & (base + size < 1 << ADDRESS_BITS))


def within_a_block(address: Value, beats_last: Value) -> Value:
    """Whether a burst is as `BurstGenerator` gives them, see test_burst_proofs."""
    beat = address // CONFIG.ddr_bytes % BURST_BEATS
    return (address % CONFIG.ddr_bytes == 0) & (beat + beats_last < BURST_BEATS)


def any_requests(spec: Spec, request: Any) -> None:
    spec.offers(request)
    spec.assume(within_a_block(request.payload.address, request.payload.beats_last),
                when=request.valid)  # fmt: skip


def address_rules(spec: Spec, channel: str, stage: str) -> None:
    """What holds on AR and AW; `stage` is the number of the register before the bus."""
    axi, unit = spec.unit.axi, spec.unit
    valid, ready, address, length = (
        getattr(axi, channel + name) for name in ("valid", "ready", "addr", "len")
    )
    refused = spec.past(valid & ~ready)
    same = (address == spec.past(address)) & (length == spec.past(length))
    spec.hold(f"{channel} stays as it is until it is taken", valid & same, when=refused)
    end = address + (length + 1) * CONFIG.ddr_bytes
    inside = (address >= unit.base) & (end <= unit.base + unit.size)
    spec.hold(f"{channel} stays in the window", inside, when=valid)
    spec.hold(f"{channel} stays in its page", address // PAGE == (end - 1) // PAGE, when=valid)
    spec.hold("a burst on the bus is within a block", within_a_block(address, length), when=valid)

    waits, where, stop, last = (
        spec.inner(f"{name}_{stage}") for name in ("stage", "address", "end", "last")
    )
    spec.hold("end and address of a waiting burst agree",
              (stop - (last + 1) * CONFIG.ddr_bytes + unit.base)[:ADDRESS_BITS] == where,
              when=waits)  # fmt: skip
    spec.hold("a waiting burst is within a block",
              within_a_block(where, last) & (stop >= (last + 1) * CONFIG.ddr_bytes),
              when=waits)  # fmt: skip


def reader_bus(unit: type = DdrReader) -> Spec:
    """Any requests, inside the window or not, any memory, halted at any time."""
    spec = Spec(unit(CONFIG, clients=CLIENTS))
    any_window(spec)
    for index, client in enumerate(spec.unit.clients):
        any_requests(spec, client.request)
        before = Cat(c.request.valid for c in spec.unit.clients[:index]).any()
        spec.hold("only the first that asks is taken", ~(client.request.ready & before))
    address_rules(spec, "ar", "2")
    burst = data.View(spec.unit.clients[0].request.payload.shape(), spec.inner("burst_1"))
    whole = within_a_block(burst.address, burst.beats_last)
    spec.hold("a chosen burst is within a block", whole, when=spec.inner("stage_1"))
    return spec


def test_reads_keep_the_rules_of_axi_and_the_window():
    prove(reader_bus(), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inside.eq(end_2 <= self.size)", "inside.eq(1)"),
        ("(~axi.arvalid | axi.arready) & ", ""),
        ("            free = free & ~reader.request.valid\n", ""),
        ("axi.arlen.eq(last_2)", "axi.arlen.eq(burst_1.beats_last)"),
    ],
)
def test_a_broken_read_bus_is_found(old, new):
    refute(reader_bus(mutant(DdrReader, (old, new))), cycles=8)


ROUTES = 2
"""Bursts in the queue for the proof of the routes: with the 8 of the hardware no solver ends."""

FEW = ("OUTSTANDING_BURSTS = 8", f"OUTSTANDING_BURSTS = {ROUTES}")


def reader_routes(unit: type) -> Spec:
    """Any one burst that is taken, of any length, and a memory that gives what it was asked for."""
    spec = Spec(unit(CONFIG, clients=CLIENTS))
    m, axi, clients = spec.m, spec.unit.axi, spec.unit.clients
    any_window(spec)
    spec.assume(~spec.unit.halt)
    for client in clients:
        request = client.request.payload
        any_requests(spec, client.request)
        end = request.address + (request.beats_last + 1) * CONFIG.ddr_bytes
        spec.assume(end <= spec.unit.size, when=client.request.valid)
    stage_1, stage_2 = spec.inner("stage_1"), spec.inner("stage_2")
    waiting = data.View(clients[0].request.payload.shape(), spec.inner("burst_1"))
    end = waiting.address + (waiting.beats_last + 1) * CONFIG.ddr_bytes
    spec.hold("bursts on their way are in the window",
              (~stage_1 | (end <= spec.unit.size))
              & (~stage_2 | (spec.inner("end_2") <= spec.unit.size)))  # fmt: skip
    on_bus = Mux(axi.arvalid, axi.arlen + 1, 0)
    owed = spec.register(10, "owed")  # beats whose burst the memory has taken
    m.d.sync += owed.eq(owed + Mux(axi.arready, on_bus, 0) - axi.rvalid)
    spec.assume(owed != 0, when=axi.rvalid)

    # All bursts under way, the oldest first: those in the queue, then those on the way to it.
    level, consume = spec.inner("route.level"), spec.inner("route.consume")
    entry = data.StructLayout({"client": range(CLIENTS), "beats_last": 8})
    queued = [
        data.View(
            entry,
            spec.content("route.storage", (consume + i)[: (ROUTES - 1).bit_length()], entry.size),
        )
        for i in range(ROUTES)
    ]
    first = Mux(stage_2, spec.inner("last_2"), waiting.beats_last)
    first_client = Mux(stage_2, spec.inner("client_2"), spec.inner("client_1"))
    under_way = level + stage_2 + stage_1
    lengths, owners = [], []
    for i in range(ROUTES + 2):
        last, owner = Mux(level == i, first, waiting.beats_last), spec.inner("client_1")
        owner = Mux(level == i, first_client, owner)
        if i < ROUTES:
            last = Mux(i < level, queued[i].beats_last, last)
            owner = Mux(i < level, queued[i].client, owner)
        lengths.append(spec.wire(Mux(i < under_way, last + 1, 0), f"length_{i}"))
        owners.append(spec.wire(owner, f"owner_{i}"))
        spec.hold("no burst is longer than a block", lengths[i] <= BURST_BEATS)
    count = spec.inner("count")
    in_queue = sum((Mux(i < level, lengths[i], 0) for i in range(ROUTES)), start=0)
    spec.hold("what is owed is in the queue", owed + on_bus + count == in_queue)
    spec.hold("beats of the oldest burst are counted", count < Mux(level == 0, 1, lengths[0]))
    spec.hold("what is owed is bounded", owed <= ROUTES * BURST_BEATS)
    newest = sum((Mux(level == i + 1, lengths[i], 0) for i in range(ROUTES)), start=0)
    spec.hold("what is on the bus is the newest in the queue", on_bus == newest, when=axi.arvalid)

    # Any one of them.
    here, place = spec.register(1, "here"), spec.register(4, "place")
    owner, before = spec.register(range(CLIENTS), "owner"), spec.register(10, "before")
    length = spec.register(8, "length")
    left = spec.wire(axi.rvalid & (count + 1 == lengths[0]), "left")
    follow = spec.choice(1, "follow")
    for index, client in enumerate(clients):
        request = client.request
        with m.If(~here & follow & request.valid & request.ready):
            m.d.sync += [
                here.eq(1), owner.eq(index), place.eq(under_way - left),
                length.eq(request.payload.beats_last + 1),
                before.eq(sum(lengths) - count - axi.rvalid),
            ]  # fmt: skip
    mine = spec.wire(here & (before == 0), "mine")
    with m.If(here & axi.rvalid):
        m.d.sync += before.eq(Mux(mine, 0, before - 1))
        with m.If(left):
            m.d.sync += [place.eq(place - 1), here.eq(place != 0)]
        with m.If(mine):
            m.d.sync += [length.eq(length - 1), here.eq(length != 1)]
    came = spec.past(mine & axi.rvalid)
    for index, client in enumerate(clients):
        right = client.beat_valid == (spec.past(owner) == index)
        spec.hold("a beat goes to who asked for it, and to nobody else", right, when=came)
        spec.hold("it is the beat that came", client.beat == spec.past(axi.rdata), when=came)
    total = [Mux(i < place, lengths[i], 0) for i in range(ROUTES + 1)]
    at = spec.wire(sum(Mux(place == i, lengths[i], 0) for i in range(ROUTES + 2)), "at")
    whose = spec.wire(sum(Mux(place == i, owners[i], 0) for i in range(ROUTES + 2)), "whose")
    spec.hold("the burst is under way", (place < under_way) & (whose == owner), when=here)
    spec.hold("its beats are", at == length + Mux(place == 0, count, 0), when=here)
    spec.hold("beats before it are", before == Mux(place == 0, 0, sum(total) - count), when=here)
    return spec


def test_every_beat_read_goes_to_the_reader_that_asked_for_it():
    prove(reader_routes(mutant(DdrReader, FEW)), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("last.eq(count == head.beats_last)", "last.eq(count == head.beats_last - 1)"),
        ("routed.client.eq(client_2)", "routed.client.eq(client_1)"),
        ("came & (client == index)", "came & (head.client == index)"),
    ],
)
def test_a_broken_route_is_found(old, new):
    refute(reader_routes(mutant(DdrReader, FEW, (old, new))), cycles=10)


def writer(unit: type = DdrWriter) -> Spec:
    """Any requests and beats, any memory that answers what it was given, halted at any time."""
    spec = Spec(unit(CONFIG))
    m, axi, client = spec.m, spec.unit.axi, spec.unit.client
    any_window(spec)
    any_requests(spec, client.request)
    address_rules(spec, "aw", "1")
    refused = spec.past(axi.wvalid & ~axi.wready)
    beat = Cat(axi.wdata, axi.wstrb, axi.wlast)
    spec.hold("w stays as it is until it is taken", axi.wvalid & (beat == spec.past(beat)),
              when=refused)  # fmt: skip

    leave, inside = spec.inner("leave"), spec.inner("inside")
    moves, last, count = spec.inner("moves"), spec.inner("last"), spec.inner("count")
    queue = Traveller(
        spec, "bursts", width=8, depth=8, buffered=False, entered=leave & inside,
        came=spec.inner("last_1"), left=moves & last, head=spec.inner("bursts.r_data"),
        offered=spec.inner("bursts.r_rdy"),
    )  # fmt: skip
    at_head = queue.here & (queue.before == 0)
    beats = spec.register(8, "beats_of_this_burst")
    with m.If(moves):
        m.d.sync += beats.eq(Mux(last, 0, beats + 1))
    spec.hold("a burst has the beats that it says", (last == (beats == queue.entry)),
              when=at_head & moves)  # fmt: skip
    spec.hold("beats are counted", beats == count)
    moved = spec.past(moves)
    spec.hold("the last beat is marked", axi.wlast == spec.past(last), when=moved)
    spec.hold("halted, nothing is written", axi.wstrb == 0, when=moved & spec.past(spec.unit.halt))

    # A memory answers a burst when it has its address and its beats.
    unanswered = spec.register(5, "unanswered")
    m.d.sync += unanswered.eq(unanswered + (leave & inside) - axi.bvalid)
    spec.assume(unanswered != 0, when=axi.bvalid)
    opened = spec.inner("open_bursts")
    spec.hold("bursts without an answer are counted", opened == unanswered)
    spec.hold("they are bounded", opened <= 8)
    return spec


def test_writes_keep_the_rules_of_axi_the_window_and_their_lengths():
    prove(writer(), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inside.eq(end_1 <= self.size)", "inside.eq(end_1 < self.size + 64)"),
        ("(~axi.wvalid | axi.wready)", "1"),
        ("Mux(self.halt, 0, -1)", "-1"),
        ("last.eq(count == bursts.r_data)", "last.eq(count == 3)"),
        ("open_bursts + bursts.w_en - axi.bvalid", "open_bursts + bursts.w_en"),
    ],
)
def test_a_broken_writer_is_found(old, new):
    refute(writer(mutant(DdrWriter, (old, new))), cycles=12)
