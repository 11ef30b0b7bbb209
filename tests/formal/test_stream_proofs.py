"""Proofs of the rule of streams, and of what the units that change widths hand on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth.hdl import Array, Cat
from proofs import Spec, check, mutant, prove, refute

from tf2.arch import OverlayConfig
from tf2.gateware.assembler import Assembler
from tf2.gateware.feature_loader import FeatureLoader
from tf2.gateware.layer_queue import LayerQueue
from tf2.gateware.registers import Registers
from tf2.gateware.serializer import Serializer

CONFIG = OverlayConfig(
    outputs=2, pixels=1, inputs=4, feature_rows=64, filter_words=16, post_pixels=1, pool_groups=4,
    ddr_bytes=64,
)  # fmt: skip
NARROW = replace(CONFIG, ddr_bytes=4)
WIDTH = 5
FEW = ("PREFETCH_BEATS = 128", "PREFETCH_BEATS = 16")


def assembler(unit: type = Assembler, count: int = 3) -> Spec:
    spec = Spec(unit(width=WIDTH, count=count))
    beats, word = spec.unit.beats, spec.unit.word
    spec.offers(beats)
    spec.keeps("word", word)
    came = Array(spec.register(WIDTH, f"came_{k}") for k in range(count))
    number = spec.register(range(count), "number")
    with spec.m.If(beats.valid & beats.ready):
        spec.m.d.sync += came[number].eq(beats.payload)
        spec.m.d.sync += number.eq(number + 1)
        with spec.m.If(number == count - 1):
            spec.m.d.sync += number.eq(0)
    spec.hold("a word is its beats in their order",
              word.payload == Cat(*list(came)[:-1], beats.payload), when=word.valid)  # fmt: skip
    spec.hold("a word is there with its last beat",
              word.valid == (beats.valid & (number == count - 1)))  # fmt: skip
    spec.hold("beats are counted", (spec.inner("index") == number) & (number < count))
    for k in range(count - 1):
        spec.hold("beats are kept", spec.inner(f"beat_{k}") == came[k], when=k < number)
    return spec


@pytest.mark.parametrize("count", [2, 3, 4])
def test_beats_become_words(count):
    prove(assembler(count=count), steps=2)


def serializer(unit: type = Serializer, count: int = 3) -> Spec:
    spec = Spec(unit(width=WIDTH * count - 2, beat_width=WIDTH))
    word, beats = spec.unit.word, spec.unit.beats
    spec.offers(word)
    spec.keeps("beats", beats)
    number = spec.register(range(count), "number")
    with spec.m.If(beats.valid & beats.ready):
        spec.m.d.sync += number.eq(number + 1)
        with spec.m.If(number == count - 1):
            spec.m.d.sync += number.eq(0)
    part = word.payload.word_select(number, WIDTH)
    spec.hold("beats are the word's bits in their order", beats.payload == part, when=beats.valid)
    taken = word.valid & word.ready
    spec.hold("a word is taken with its last beat",
              taken == (beats.valid & beats.ready & (number == count - 1)))  # fmt: skip
    spec.hold("beats are counted", (spec.inner("index") == number) & (number < count))
    return spec


@pytest.mark.parametrize("count", [2, 3, 4])
def test_words_become_beats(count):
    prove(serializer(count=count), steps=2)


def layer_queue(unit: type = LayerQueue) -> Spec:
    spec = Spec(unit(CONFIG))
    beats, layers = spec.unit.beats, spec.unit.layers
    spec.offers(beats)
    for count in (spec.unit.loads_done, spec.unit.stores_done):
        spec.assume(count >= spec.past(count))  # in a run there are less than 65,536
    spec.keeps("layers", layers)
    spec.hold("loads that were to be waited for are done",
              spec.unit.loads_done >= layers.payload.wait_loads, when=layers.valid)  # fmt: skip
    spec.hold("stores that were to be waited for are done",
              spec.unit.stores_done >= layers.payload.wait_stores, when=layers.valid)  # fmt: skip
    left = spec.inner("assembler.word__valid") & spec.inner("word__ready")
    spec.hold("a layer leaves when it is taken", left == (layers.valid & layers.ready))
    return spec


def test_layers_are_offered_when_what_they_wait_for_is_done_and_stay():
    prove(layer_queue(), steps=2)


def registers(unit: type = Registers) -> Spec:
    spec = Spec(unit(CONFIG))
    bus, m = spec.unit.axil, spec.m
    for name, valid, ready, answer, taken in (
        ("b", bus.bvalid, bus.bready, bus.bresp, bus.awvalid & bus.awready),
        ("r", bus.rvalid, bus.rready, Cat(bus.rresp, bus.rdata), bus.arvalid & bus.arready),
    ):
        refused = spec.past(valid & ~ready)
        spec.hold(f"{name} stays as it is until it is taken",
                  valid & (answer == spec.past(answer)), when=refused)  # fmt: skip
        owed = spec.register(2, f"owed_{name}")
        m.d.sync += owed.eq(owed + taken - (valid & ready))
        spec.hold(f"{name}: as many answers as questions", owed == valid)
    spec.hold("address and data are taken together",
              (bus.awvalid & bus.awready) == (bus.wvalid & bus.wready))  # fmt: skip
    return spec


def test_the_host_is_answered_once_and_answers_stay():
    prove(registers(), steps=2)


def feature_loader(unit: type = FeatureLoader) -> Spec:
    """A memory that gives beats that were asked for, when it likes; rows that fit."""
    spec = Spec(unit(NARROW))
    ddr, rows, loads = spec.unit.ddr, spec.unit.row_write.rows, spec.unit.loads
    spec.offers(loads)
    spec.assume(loads.payload.address % NARROW.ddr_bytes == 0)
    owed = spec.register(8, "owed")
    asked = ddr.request.valid & ddr.request.ready
    with spec.m.If(asked):
        spec.m.d.sync += owed.eq(owed + ddr.request.payload.beats_last + 1 - ddr.beat_valid)
    with spec.m.Else():
        spec.m.d.sync += owed.eq(owed - ddr.beat_valid)
    spec.assume(owed != 0, when=ddr.beat_valid)
    spec.keeps("rows", rows)
    spec.keeps("ddr.request", ddr.request)
    spec.hold("rows lie in the Feature Buffer", rows.payload.row < NARROW.feature_rows,
              when=rows.valid)  # fmt: skip
    return spec


@pytest.mark.slow
def test_rows_and_requests_of_loads_stay_for_12_cycles():
    check(feature_loader(mutant(FeatureLoader, FEW)), cycles=12)


@pytest.mark.parametrize(
    ("spec", "unit", "changes"),
    [
        (assembler, Assembler, [("~last | self.word.ready", "1")]),
        (assembler, Assembler, [("0 if self._count == 1 else (index + 1)", "0")]),
        (serializer, Serializer, [("last & self.beats.ready", "last")]),
        (layer_queue, LayerQueue, [("self.layers.ready & met", "self.layers.ready")]),
        (registers, Registers, [("with m.If(bus.rready)", "with m.If(1)")]),
        (registers, Registers, [("bus.wvalid & ~bus.bvalid", "bus.wvalid")]),
        pytest.param(
            feature_loader,
            FeatureLoader,
            [FEW, ("index.eq(index + 1)", "index.eq(index + 2)")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_broken_unit_is_found(spec, unit, changes):
    refute(spec(mutant(unit, *changes)), cycles=12)
