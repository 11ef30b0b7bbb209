"""Inputs that come in while the first layer that reads them runs, and then stay on chip.

That layer's first stripe begins as soon as its rows are there, so it is small; each costs the way
through the array and the rows it shares with the one before, so they grow as far as loads are
ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tf2.compiler.geometry import overhang, reach
from tf2.compiler.ops import ArrayGraph, Conv, SumPart
from tf2.compiler.plan import Plan
from tf2.compiler.slots import Place
from tf2.compiler.stripe_choice import (
    OVERLAP,
    choose_stripes,
    filter_beats,
    free_rows,
    runs_in_pieces,
    set_smallest,
    stripe_cycles,
)
from tf2.compiler.stripes import Span, cut, extent

MOST_CUTS = 64
"""Places at which stripes may begin; longer maps are cut at multiples of a number of rows."""

NEARLY = 1.05
"""Growing is chosen where it is estimated to take a twentieth more: its loads, small at first, are
estimated high, those of even stripes low."""

START_CYCLES = 200
"""Cycles from the start of a program to the first row of its first load, filters beside it."""

LOAD_CYCLES = 16
"""Cycles of a load beyond its beats while others wait: its instruction, shorter bursts, and a burst
of filters in between."""


def sole_source(graph: ArrayGraph, places: Mapping[str, Place], value: str) -> bool:
    """Return whether a map of the host is read by one layer, as its input, and by nothing else."""
    readers = [conv for conv in graph.convs if value in conv.reads]
    shared = sum(place.storage == places[value].storage for place in places.values())
    return (
        len(readers) == 1
        and readers[0].reads.count(value) == 1
        and readers[0].source == value
        and shared == 1
        and value not in graph.outputs
        and not isinstance(readers[0].pool, SumPart)
    )


def grow(plan: Plan, conv: Conv, free: int, cycles: float) -> None:
    """Let an input lie on chip as a whole and grow there, where it fits and takes fewer cycles."""
    name = conv.source
    if name not in plan.ported or plan.whole_rows(plan.storage(name)) > free:
        return
    others = [value for value in (conv.target, *conv.reads) if value != name]
    if any(map(plan.streamed, others)) or not _may_grow(plan, conv):
        return
    spans, end = _growth(plan, conv)
    if end - START_CYCLES < cycles * NEARLY:
        plan.ported -= {name}
        _let_grow(plan, conv, spans)


def grow_shared(plan: Plan, name: str) -> None:
    """Let an input that several layers read grow while the first of them runs, if that is faster.

    It lies on chip as a whole in any case.
    """
    readers = [conv for conv in plan.graph.convs if name in conv.reads]
    shared = sum(place.storage == plan.places[name].storage for place in plan.places.values())
    if plan.streamed(name) or plan.passes(name) or shared > 1 or name in plan.graph.outputs:
        return
    if any(conv.add is not None and conv.add.operand == name for conv in readers):
        return
    conv = readers[0]
    if plan.busy(conv) or isinstance(conv.pool, SumPart) or not _may_grow(plan, conv):
        return
    spans, _ = _growth(plan, conv)
    if len(spans) > 1:
        _let_grow(plan, conv, spans)


def ungrow(plan: Plan) -> bool:
    """Let an input pass stripe by stripe again."""
    for name in sorted(plan.growing):
        if not sole_source(plan.graph, plan.places, name):
            continue  # it takes the same rows if it does not grow
        plan.growing -= {name}
        plan.ported |= {name}
        conv = next(conv for conv in plan.graph.convs if conv.source == name)
        set_smallest(plan, conv)
        choose_stripes(plan, conv, free_rows(plan, conv))
        return True
    return False


def growing_spans(
    length: int, loaded: Callable[[int, int], int], cycles: Callable[[Span], int]
) -> tuple[list[Span], int]:
    """Return stripes over `length` rows, and the cycle in which the last one ends: the earliest.

    Args:
        length: Rows of the layer's result.
        loaded: Cycle in which all is there that rows before this one are made of, which take that
            many stripes.
        cycles: Of a stripe.
    """
    step = -(-length // MOST_CUTS)
    cuts = [*range(0, length, step), length]
    ends, before, counts = [0], [0], [0]
    for j in range(1, len(cuts)):
        end, i = min(
            (max(ends[i], loaded(cuts[j], counts[i] + 1)) + cycles((cuts[i], cuts[j])), i)
            for i in range(j)
        )
        ends.append(end)
        before.append(i)
        counts.append(counts[i] + 1)
    spans, j = [], len(cuts) - 1
    while j > 0:
        spans.append((cuts[before[j]], cuts[j]))
        j = before[j]
    return spans[::-1], ends[-1]


def _may_grow(plan: Plan, conv: Conv) -> bool:
    """Return whether a layer can run in stripes over an input of which the rest still comes."""
    planes = max(conv.size[0], plan.storage(conv.source).size[0])
    return planes == 1 and conv.add is None and not runs_in_pieces(plan, conv)


def _let_grow(plan: Plan, conv: Conv, spans: list[Span]) -> None:
    plan.growing |= {conv.source}
    plan.stripes[conv.name] = cut(conv, plan.facts[conv.name].source.size, spans)
    plan.slots[conv.name] = 1


def _growth(plan: Plan, conv: Conv) -> tuple[list[Span], int]:
    """Return the stripes that end earliest while a layer's input comes in, and when that is."""
    storage, facts = plan.storage(conv.source), plan.facts[conv.name]
    size, words = facts.source.size, plan.words(storage)
    known: dict[tuple[int, int, tuple[int, int]], int] = {}
    # Filters and instructions of a stripe come by the same way, and what leaves goes by it.
    each = filter_beats(plan, conv) + words * LOAD_CYCLES
    beats = [
        words * plan.rows_of_plane(storage, (0, cut(conv, size, [(0, row)])[0].source[1]))[1]
        * plan.config.row_beats
        for row in range(1, extent(conv) + 1)
    ]  # fmt: skip

    def loaded(row: int, stripes: int) -> int:
        return START_CYCLES + beats[row - 1] + stripes * each

    def taken(span: Span) -> int:
        stripe = cut(conv, size, [span])[0]
        region = stripe.regions[0]
        far = reach(conv, region, size)
        key = (region.end - region.begin, far.end - far.begin,
               overhang(conv, far.begin, far.end, region))  # fmt: skip
        if key not in known:
            known[key] = stripe_cycles(plan, conv, stripe, 0) - OVERLAP
        return known[key]

    return growing_spans(extent(conv), loaded, taken)
