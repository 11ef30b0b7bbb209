"""Loads, layers, stores and filters beside each other."""

from __future__ import annotations

from tf2.arch import OverlayConfig
from tf2.compiler.timeline import TRANSFER_CYCLES, run_cycles
from tf2.isa import End, InputMap, Kernel, Layer, Load, OutputMap, Store
from tf2.isa.timing import START, layer_cycles

CONFIG = OverlayConfig(
    outputs=4, pixels=3, inputs=8, feature_rows=2048, filter_words=128, post_pixels=3,
    pool_groups=32, ddr_bytes=16,
)  # fmt: skip


def layer(*, side: int, words: int, out_groups: int = 1, **waits) -> Layer:
    return Layer(
        name="l",
        input=InputMap(
            base_row=0, plane_rows=1, slice_rows=0, height=side, width=side, pitch=side,
            zero_point=0,
        ),
        kernel=Kernel(z=1, y=1, x=1, words=words),
        height=side, width=side, raster_height=side, raster_width=side, lanes=min(3, side * side),
        out_groups=out_groups, zero_point=0, low=-128, high=127,
        output=OutputMap(base_row=1000, plane_rows=200, raw_rows=0, first_part=0, origin=0,
                         step_y=side),
        macs=0, **waits,
    )  # fmt: skip


LOAD = Load(name="x", address=0, base_row=0, rows=100)


def test_a_layer_that_waits_for_a_load_begins_at_its_end_and_takes_what_the_array_takes():
    wide = layer(side=30, words=4, wait_loads=1)
    loaded = TRANSFER_CYCLES + 100 * CONFIG.row_beats
    assert run_cycles((LOAD, wide, End()), CONFIG) == loaded + layer_cycles(wide, CONFIG)
    free = layer(side=30, words=4)
    begin = run_cycles((free, End()), CONFIG) - layer_cycles(free, CONFIG)
    assert 0 <= begin <= TRANSFER_CYCLES + 2 * 4 + 1  # its first filters


def test_a_store_goes_beside_the_next_layer():
    store = Store(name="y", address=0, base_row=1000, rows=50, wait_layers=1)
    both = (layer(side=30, words=4), layer(side=30, words=4))
    alone = run_cycles((*both, End()), CONFIG)
    assert run_cycles((both[0], store, both[1], End()), CONFIG) == alone
    late = TRANSFER_CYCLES + 50 * CONFIG.row_beats
    behind = Store(name="y", address=0, base_row=1000, rows=50, wait_layers=2)
    assert run_cycles((*both, behind, End()), CONFIG) == alone + late


def test_filters_of_the_next_layer_come_beside_a_layer_as_far_as_there_is_room():
    assert CONFIG.parameter_slots == 8
    before, one = layer(side=30, words=4), layer(side=1, words=16, out_groups=7)
    hidden = run_cycles((before, one, End()), CONFIG) - run_cycles((before, End()), CONFIG)
    assert hidden == layer_cycles(one, CONFIG)
    many = layer(side=1, words=16, out_groups=20)
    shown = run_cycles((before, many, End()), CONFIG) - run_cycles((before, End()), CONFIG)
    word = CONFIG.filter_word_bytes // CONFIG.ddr_bytes
    rest = 13 * (16 + CONFIG.parameter_words) * word
    assert layer_cycles(many, CONFIG) <= shown
    assert abs(shown - START - rest) < layer_cycles(one, CONFIG)
