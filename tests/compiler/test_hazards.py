"""Instructions wait for what they depend on and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from isa.overlay_layers import random_layer
from tf2.arch import named_config
from tf2.compiler.hazards import Draft, with_starts, with_waits
from tf2.isa import End, Layer, Load, Store
from tf2.isa.overlap import late_start, least_start


def load(row: int, rows: int, address: int = 0) -> Draft:
    return Draft(
        instruction=Load(name="l", address=address, base_row=row, rows=rows),
        writes=((row, row + rows),), ddr=(address, address + rows),
    )  # fmt: skip


def store(row: int, rows: int, address: int = 0) -> Draft:
    return Draft(
        instruction=Store(name="s", address=address, base_row=row, rows=rows),
        reads=((row, row + rows),), ddr=(address, address + rows),
    )  # fmt: skip


def layer(reads, writes) -> Draft:
    return Draft(instruction=LAYER, reads=(reads,), writes=(writes,))


LAYER = replace(
    random_layer(np.random.default_rng(0), named_config("test-small")).layer,
    wait_loads=0, wait_stores=0,
)  # fmt: skip


def test_a_layer_waits_for_its_input_only():
    first, second, run, end = with_waits([load(0, 4), load(8, 4), layer((0, 4), (20, 24))])
    assert run.wait_loads == 1
    assert (first.wait_layers, second.wait_stores) == (0, 0)
    assert isinstance(end, End)


def test_a_load_waits_until_what_it_overwrites_has_been_read():
    *_, again, _ = with_waits([load(0, 4), layer((0, 4), (20, 24)), load(2, 4)])
    assert again.wait_layers == 1


def test_a_store_waits_for_its_layer_and_the_rows_wait_for_the_store():
    drafts = [layer((0, 4), (20, 24)), store(20, 4), layer((30, 31), (22, 26))]
    _, stored, after, _ = with_waits(drafts)
    assert stored.wait_layers == 1
    assert after.wait_stores == 1


def test_a_load_waits_for_the_store_of_what_it_reads_in_ddr():
    drafts = [layer((0, 4), (20, 24)), store(20, 4, address=64), load(40, 4, address=66)]
    assert with_waits(drafts)[2].wait_stores == 1


def test_layers_begin_as_soon_as_they_may_and_the_first_behind_none():
    config = named_config("test-small")
    rng = np.random.default_rng(1)
    drafts = [layer((0, 4), (20, 24)), store(20, 4)] + [
        Draft(instruction=random_layer(rng, config, rows=40).layer) for _ in range(8)
    ]
    instructions = with_starts(with_waits(drafts), config)
    layers = [i for i in instructions if isinstance(i, Layer)]
    assert [type(i) for i in instructions] == [*(type(d.instruction) for d in drafts), End]
    assert layers[0].start_after == 0
    for before, after in pairwise(layers):
        start = least_start(before, after, config)
        assert after.start_after == (start if start <= late_start(before, config) else 0)
    assert any(i.start_after for i in layers)
    assert with_starts(instructions, config) == instructions
