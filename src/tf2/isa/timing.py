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

_RESCALE = 13
"""Bias, multiplier, shift and clip, residual."""

_POOL = 5
"""Max pooling, also where there is none."""

_SUM_POOL = 3
"""Terms, sums, beat; the adder tree comes on top."""

_SUM_RESCALE = 6
"""Rescaling of a fused sum; a cycle for each output channel comes on top."""

_WRITE = 2
"""From a beat to its first write."""


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
    cycles = _READ + _MULTIPLY + _tree(config.inputs) + config.post_beats + _RESCALE + _WRITE
    if layer.pool is not None and layer.pool.kind == "sum":
        cycles += _SUM_POOL + _tree(config.pixels)
        return cycles + (3 if layer.raw else _SUM_RESCALE + config.outputs)
    cycles += _POOL + segments - 1
    return cycles + (3 * max(config.post_beats, segments) if layer.raw else 0)


def _tree(terms: int) -> int:
    """Return the cycles of an adder tree: a level a cycle."""
    return (terms - 1).bit_length()
