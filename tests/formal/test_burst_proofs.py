"""Proofs of the units that make addresses: what they ask the memory for."""

from __future__ import annotations

import pytest
from proofs import Spec, mutant, prove, refute

from tf2.arch import OverlayConfig, named_config
from tf2.gateware.axi import ADDRESS_BITS, BURST_BEATS
from tf2.gateware.burst_generator import BurstGenerator

CONFIG = named_config("test-small")
PAGE = 4096


def bursts(unit: type = BurstGenerator, config: OverlayConfig = CONFIG) -> Spec:
    """Bursts of stretches that lie within 40 bits of address and begin at a beat."""
    spec = Spec(unit(config))
    stretch, burst = spec.unit.stretch, spec.unit.bursts
    size = config.ddr_bytes
    spec.offers(stretch)
    spec.assume(stretch.payload.address % size == 0, when=stretch.valid)
    end = stretch.payload.address + stretch.payload.beats * size
    spec.assume(end < 1 << ADDRESS_BITS, when=stretch.valid)
    spec.keeps("bursts", burst)

    taken, given = stretch.valid & stretch.ready, burst.valid & burst.ready
    beats = spec.wire(burst.payload.beats_last + 1, "beats")
    bytes_ = spec.wire(beats * size, "bytes")
    after = spec.wire(burst.payload.address + bytes_, "after")
    expected = spec.register(ADDRESS_BITS + 1, "expected")  # where the next burst begins
    stop = spec.register(ADDRESS_BITS + 1, "stop")  # of the stretch
    with spec.m.If(given):
        spec.m.d.sync += expected.eq(after)
    with spec.m.If(taken):
        spec.m.d.sync += [expected.eq(stretch.payload.address), stop.eq(end)]

    last = burst.payload.address + bytes_ - 1
    spec.hold("a burst is of 1 to 16 beats", beats <= BURST_BEATS, when=burst.valid)
    spec.hold("a burst stays in its page", burst.payload.address // PAGE == last // PAGE,
              when=burst.valid)  # fmt: skip
    spec.hold("bursts follow each other", burst.payload.address == expected, when=burst.valid)
    spec.hold("bursts stay in the stretch", after <= stop, when=burst.valid)
    spec.hold("all of a stretch is asked for", expected == stop, when=stretch.ready)
    left, count, last_burst = (spec.inner(name) for name in ("left", "size", "last"))
    spec.hold("what is left is the rest", left * size == stop - expected, when=burst.valid)
    spec.hold("a burst has beats, no more than are left", (count != 0) & (count <= left),
              when=burst.valid)  # fmt: skip
    spec.hold("the last burst is the rest", last_burst == (count == left), when=burst.valid)
    spec.hold("other bursts end at a border", after % (BURST_BEATS * size) == 0,
              when=burst.valid & ~last_burst)  # fmt: skip
    spec.hold("the stretch is in the window", (stop < 1 << ADDRESS_BITS) & (expected <= stop))
    return spec


@pytest.mark.parametrize("ddr_bytes", [4, 16, 128])
def test_bursts_are_a_stretch_cut_at_blocks_within_a_page(ddr_bytes):
    config = OverlayConfig(
        outputs=4, pixels=3, inputs=8, feature_rows=64, filter_words=16, post_pixels=1,
        pool_groups=4, ddr_bytes=ddr_bytes,
    )  # fmt: skip
    prove(bursts(config=config), steps=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("to_border))]", "BURST_BEATS))]"),  # not cut at the border
        ("left.eq(behind), ", ""),
        ("block.eq(block + 1), ", ""),
        ("self.stretch.ready.eq(~valid)", "self.stretch.ready.eq(1)"),
    ],
)
def test_a_broken_cut_is_found(old, new):
    refute(bursts(mutant(BurstGenerator, (old, new))), cycles=6)
