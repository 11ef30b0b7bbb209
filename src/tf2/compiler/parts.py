"""A last layer of which the outputs are stored group by group, while it still runs.

A store waits for the layer that writes what it stores. So a layer whose result is given out is cut
into instructions of some groups of outputs each; all but the last one's are stored beside it.
"""

from __future__ import annotations

from math import isqrt

from tf2.compiler.ops import Conv
from tf2.compiler.plan import Plan
from tf2.compiler.stripes import Span, even_spans

PART_CYCLES = 15
"""Cycles that an instruction more costs, about."""


def output_parts(plan: Plan, conv: Conv) -> list[Span]:
    """Return the groups of outputs of each instruction of a layer whose result is given out."""
    facts, storage = plan.facts[conv.name], plan.storage(conv.target)
    whole = [(0, facts.out_groups)]
    shared = sum(plan.places[c.target].storage == storage.name for c in plan.graph.convs) > 1
    if conv is not plan.graph.convs[-1] or plan.streamed(conv.target) or shared:
        return whole
    if facts.cover.step or facts.first_part or storage.size[0] > 1:
        return whole
    if len(plan.stripes[conv.name]) > 1 or len(plan.stripes[conv.name][0].regions) > 1:
        return whole
    beats = plan.whole_rows(storage) * plan.config.row_beats
    return even_spans(facts.out_groups, max(1, isqrt(beats // PART_CYCLES)), plan.config.parts)
