"""When a layer may begin behind another, against a count of every read and write."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from isa.overlay_layers import random_layer
from tf2.arch import named_config
from tf2.isa.overlap import late_start, least_start
from tf2.isa.timing import READ_TAKEN, TELL, pipeline_cycles
from tf2.isa.walk import output_positions, walk

SMALL = named_config("test-small")


def reads(layer, config):
    """Yield (cycle from the first issue, row) of every read inside of the map."""
    kernel, source, interval = layer.kernel, layer.input, walk(layer, config).interval
    taps = list(product(range(kernel.z), range(kernel.y), range(kernel.x), range(kernel.words)))
    for number, (block, group) in enumerate(product(range(layer.out_groups), range(layer.groups))):
        for k, (z, y, x, word) in enumerate(taps):
            plane = word + block // kernel.word_every * kernel.word_step
            for lane in range(layer.lanes):
                out_y, out_x = divmod(group * layer.lanes + lane, layer.raster_width)
                at_y = out_y * kernel.stride_y - kernel.pad_top + y * kernel.dilation_y
                at_x = out_x * kernel.stride_x - kernel.pad_left + x * kernel.dilation_x
                if 0 <= at_y < source.height and 0 <= at_x < source.width:
                    row = (at_y * source.pitch + at_x) // config.pixels + source.base_row
                    row += plane * source.plane_rows + z * source.slice_rows
                    yield number * interval + k + READ_TAKEN, row


def writes(layer, config):
    """Yield (cycle from the last issue, at the latest; row) of every write."""
    w = walk(layer, config)
    emitted, position, _ = output_positions(layer, config)
    count = layer.out_groups * layer.groups
    for number, (block, group) in enumerate(product(range(layer.out_groups), range(layer.groups))):
        time = pipeline_cycles(layer, config, w.segments) - (count - 1 - number) * w.interval
        plane = (layer.output.first_part + block) // config.parts
        for lane, octet in product(range(config.pixels), range(4 if layer.raw else 1)):
            if emitted[group, lane]:
                row = layer.output.base_row + plane * layer.output.plane_rows
                row += octet * layer.output.raw_rows + position[group, lane] // config.pixels
                yield time, row


def too_early(before, layer, start, config):
    """Return whether a row is read that is not written yet."""
    last = {}
    for time, row in writes(before, config):
        last[row] = max(time, last.get(row, time))
    return any(start + time <= last.get(row, -1000) for time, row in reads(layer, config))


@pytest.mark.parametrize("name", ["test-small", "test-mac"])
@pytest.mark.parametrize("seed", range(20))
def test_no_row_is_read_before_it_is_written_and_no_cycle_is_lost(name, seed):
    config, rng = named_config(name), np.random.default_rng(seed)
    before, layer = (random_layer(rng, config, rows=40, max_cycles=150).layer for _ in range(2))
    start = least_start(before, layer, config)
    assert TELL <= start <= late_start(before, config)
    assert not too_early(before, layer, start, config)
    apart = replace(layer, input=replace(layer.input, base_row=config.feature_rows // 2))
    stages = least_start(before, apart, config)  # reads nothing that was written
    assert stages == start or (stages < start and too_early(before, layer, start - 1, config))


def test_a_long_kernel_hides_the_stages_behind_it_and_a_residual_waits_for_the_writes():
    rng = np.random.default_rng(3)
    before = random_layer(rng, SMALL, rows=60, pool=None, raw=False, residual=False).layer
    layer = random_layer(rng, SMALL, rows=60, first_row=100, residual=True).layer
    words = [
        least_start(
            before,
            replace(layer, residual=added, kernel=replace(layer.kernel, z=1, y=1, x=1, words=n)),
            SMALL,
        )
        for added in (None, layer.residual)
        for n in (1, 2, 30)
    ]
    plain, residual = words[:3], words[3:]
    assert plain[0] == plain[1] + 1 > plain[2] == TELL
    assert residual[0] == residual[1] + 1 > plain[0]
