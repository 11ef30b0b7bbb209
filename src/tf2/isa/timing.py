"""Cycles of a layer in the array: exact as long as the filter words come in time.

As a layer ends the next one begins: its first filter word is issued `START` cycles later, then
every group takes `walk.interval` cycles; behind its last word the results go through the pipeline,
whose stages are counted here, and the layer ends as the last of them is written. The tests of
`tf2.gateware.array_core` hold the hardware to every figure.
"""

from __future__ import annotations

from tf2.arch import OverlayConfig
from tf2.isa.instructions import Layer
from tf2.isa.walk import walk

START = 3
"""From the end of the layer before to the first issue: it is taken in between."""

_READ = 6
"""From an issue to its bytes."""

_MULTIPLY = 3
"""A copy of the bytes for each PE, products, and the accumulator; the adder tree comes on top."""

RESCALE = 13
"""Bias, multiplier, shift and clip, residual."""

_POOL = 5
"""Max pooling, also where there is none."""

_SUM_POOL = 3
"""Terms, sums, beat; the adder tree comes on top."""

_SUMRESCALE = 6
"""Rescaling of a fused sum; a cycle for each output channel comes on top."""

_WRITE = 2
"""From a beat to its first write."""

_LOOKAHEAD = 2
"""Before a beat of bytes, its place in the raster is looked up: the stages behind begin."""

TELL = 4
"""From a layer's last issue to the first of the next, at least: the way of an issue through the
stages that are told a layer before it begins."""

READ_TAKEN = 2
"""From an issue to the cycle in which the Feature Buffer takes its read."""


def issue_cycles(layer: Layer, config: OverlayConfig) -> int:
    """Return the cycles in which the layer's groups are issued."""
    return layer.out_groups * layer.groups * walk(layer, config).interval


def layer_cycles(layer: Layer, config: OverlayConfig) -> int:
    """Return the cycles from the end of the layer before to a layer's end.

    Cycles in which a filter word had not come are on top.
    """
    w = walk(layer, config)
    last_issue = START + issue_cycles(layer, config) - (w.interval - layer.kernel.length) - 1
    return last_issue + pipeline_cycles(layer, config, w.segments)


def pipeline_cycles(layer: Layer, config: OverlayConfig, segments: int) -> int:
    """Return the cycles from the last issue to the last write, of so many `Walk.segments`."""
    cycles = sum_cycles(config) + config.post_beats + RESCALE + _WRITE
    if layer.pool is not None and layer.pool.kind == "sum":
        cycles += _SUM_POOL + _tree(config.pixels)
        return cycles + (3 if layer.raw else _SUMRESCALE + config.outputs)
    cycles += _POOL + segments - 1
    return cycles + (3 * max(config.post_beats, segments) if layer.raw else 0)


def sum_cycles(config: OverlayConfig) -> int:
    """Return the cycles from the last issue of a group to its sums."""
    return _READ + _MULTIPLY + _tree(config.inputs)


def post_cycles(layer: Layer, config: OverlayConfig) -> int:
    """Return the cycles from the sums of a group to its last bytes."""
    cycles = config.post_beats + RESCALE
    if layer.raw and layer.pool is None:
        cycles += 3 * max(config.post_beats, walk(layer, config).segments)
    return cycles


def announce_cycles(config: OverlayConfig) -> int:
    """Return the cycles from the last issue of a group until the stages behind its bytes begin."""
    return sum_cycles(config) + config.post_beats + RESCALE - _LOOKAHEAD


def _tree(terms: int) -> int:
    """Return the cycles of an adder tree: a level a cycle."""
    return (terms - 1).bit_length()
