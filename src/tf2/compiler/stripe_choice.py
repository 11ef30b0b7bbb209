"""Into how many stripes a layer is cut: those that take the fewest cycles among those that fit."""

from __future__ import annotations

from math import gcd, prod

from tf2.compiler.geometry import Grid, build_layer, layer_cycles
from tf2.compiler.memory import peak
from tf2.compiler.ops import Conv, SumPart
from tf2.compiler.passage import Passage, passage_stripes
from tf2.compiler.plan import Plan
from tf2.compiler.stripes import Span, Stripe, axis_of, cut, even_spans, extent, in_pieces, whole
from tf2.errors import CompileError, DoesNotFitError
from tf2.isa.filters import block_bytes

OVERLAP = 25
"""Cycles, about, that a stripe begins before the results of the one before are written."""

LOAD_LATENCY = 60
"""Cycles from the request of a stripe to its first row."""

MOST_STRIPES = 32
"""Stripes into which an input is cut so that its load hides behind the first layer."""


def set_stripes(plan: Plan, conv: Conv, count: int, slots: int) -> None:
    """Cut a layer into that many stripes, of which so many are on chip at once."""
    size = plan.facts[conv.name].source.size
    plan.stripes[conv.name] = _in_pieces(plan, conv, cut(conv, size, _spans(plan, conv, count)))
    plan.slots[conv.name] = min(slots, len(plan.stripes[conv.name]))


def set_smallest(plan: Plan, conv: Conv) -> None:
    """Give a layer the smallest stripes there are, to see whether anything fits."""
    passage = plan.passage(conv)
    if passage is not None:
        set_passage(plan, passage, extent(passage.reader))
    elif plan.streams(conv):
        set_stripes(plan, conv, extent(conv), 1)
    else:
        stripes = whole(conv, plan.facts[conv.name].source.size)
        plan.stripes[conv.name] = _in_pieces(plan, conv, stripes)
        plan.slots[conv.name] = 1


def set_passage(plan: Plan, passage: Passage, count: int) -> None:
    """Cut the layers of a passage into that many stripes."""
    sizes = {conv.name: plan.facts[conv.name].source.size for conv in passage.convs}
    stripes = passage_stripes(passage, sizes, count)
    for conv in passage.convs:
        plan.stripes[conv.name] = _in_pieces(plan, conv, stripes[conv.name])
        plan.slots[conv.name] = 1


def choose_stripes(plan: Plan, conv: Conv, free: int) -> float:
    """Choose the number of stripes that takes the fewest cycles among those that fit: these."""
    best: tuple[float, int, int] | None = None
    most = min(extent(conv), MOST_STRIPES)
    counts = [*range(1, most + 1), extent(conv)]
    for count in counts:
        set_stripes(plan, conv, count, count)
        each = sum(plan.slot_rows(conv).values())
        slots = min(plan.slots[conv.name], free // each if each else 1)
        if slots < 1:
            continue
        cycles = _cycles(plan, conv, overlaps=slots >= min(2, len(plan.stripes[conv.name])))
        if best is None or cycles < best[0]:
            best = (cycles, count, slots)
    assert best is not None  # the smallest stripes fit, or the map would not be where it is
    set_stripes(plan, conv, best[1], best[2])
    return best[0]


def choose_passage(plan: Plan, passage: Passage) -> None:
    """Choose the number of stripes that takes the fewest cycles among those that fit."""
    convs = plan.graph.convs
    others = [need for need in plan.needs() if need.name != f"{passage.storage}/stripe"]
    first, last = convs.index(passage.writers[0]), convs.index(passage.reader)
    free = plan.config.feature_rows - max(peak(others, len(convs))[first : last + 1])
    best: tuple[int, int] | None = None
    for count in [*range(1, min(extent(passage.reader), MOST_STRIPES) + 1), extent(passage.reader)]:
        set_passage(plan, passage, count)
        if plan.passage_rows(passage) > free:
            continue
        cycles = sum(
            stripe_cycles(plan, conv, stripe, region)
            for conv in passage.convs
            for stripe in plan.stripes[conv.name]
            for region in range(len(stripe.regions))
        )
        if best is None or cycles < best[0]:
            best = (cycles, count)
    assert best is not None  # the smallest stripes fit, or the map would be in DDR
    set_passage(plan, passage, best[1])


def free_rows(plan: Plan, conv: Conv) -> int:
    """Return the rows that stripes of a layer may take."""
    others = [n for n in plan.needs() if not n.name.startswith(f"{conv.name}/")]
    at = plan.graph.convs.index(conv)
    return plan.config.feature_rows - peak(others, len(plan.graph.convs))[at]


def shrink(plan: Plan) -> bool:
    """Take a slot from the layer that has the most rows in slots, or cut it finer."""
    streaming = [conv for conv in plan.graph.convs if plan.streams(conv)]

    def rows(conv: Conv) -> int:
        return sum(plan.slot_rows(conv).values()) * plan.slots[conv.name]

    for passage in sorted(plan.passages.values(), key=plan.passage_rows, reverse=True):
        stripes = len(plan.stripes[passage.reader.name])
        set_passage(plan, passage, stripes + max(1, stripes // 4))
        if len(plan.stripes[passage.reader.name]) > stripes:
            return True
    for conv in sorted(streaming, key=rows, reverse=True):
        stripes, slots = len(plan.stripes[conv.name]), plan.slots[conv.name]
        if slots > 2:
            set_stripes(plan, conv, stripes, max(2, slots // 2))
            return True
        set_stripes(plan, conv, stripes * 2, slots)
        if len(plan.stripes[conv.name]) > stripes:
            return True
        set_stripes(plan, conv, stripes, 1)
        if slots > 1:
            return True
    return False


def stripe_cycles(plan: Plan, conv: Conv, stripe: Stripe, number: int) -> int:
    """Return the cycles of one instruction of a layer, wherever its maps lie."""
    facts = plan.facts[conv.name]
    grids = [
        Grid(base_row=0, plane_rows=1, pitch=plan.pitch[plan.places[v].storage], first=first,
             height=storage.size[1])
        for v, storage, first in (
            (conv.source, plan.storage(conv.source), 0),
            (conv.target, plan.storage(conv.target), 0),
        )
    ]  # fmt: skip
    added = None
    if conv.add is not None:
        pitch = plan.pitch[plan.places[conv.add.operand].storage]
        begin = stripe.added[0] if axis_of(conv.size) == 1 else 0
        added = Grid(base_row=0, plane_rows=1, pitch=pitch, first=begin, height=1)
    try:
        layer = build_layer(
            conv, plan.config, stripe.regions[number], source_size=facts.source.size,
            zero_point=facts.source.zero_point, cover=facts.cover, terms=facts.terms,
            source=grids[0], target=grids[1], first_part=facts.first_part, added=added,
            added_part=facts.added_part, out_groups=facts.out_groups,
        )  # fmt: skip
    except CompileError:
        return 1 << 40
    return layer_cycles(layer, plan.config)


def _spans(plan: Plan, conv: Conv, count: int) -> list[Span]:
    """Return stripes of a layer; where a map on chip is added they begin at rows of the buffer."""
    quantum = 1
    length = extent(conv)
    if conv.add is not None and not plan.streamed(conv.add.operand) and count > 1:
        pitch = plan.pitch[plan.places[conv.add.operand].storage]
        while conv.size[0] == 1 and quantum * pitch % plan.config.pixels:
            quantum += 1
        if conv.pool is not None:
            count = 1
    if isinstance(conv.pool, SumPart):
        count = 1
    return even_spans(length, count, quantum)


def runs_in_pieces(plan: Plan, conv: Conv) -> bool:
    """Return whether a layer's filters exceed the Filter Cache, so that each is used once."""
    exceeds = _filter_words(plan, conv) > plan.config.filter_words
    return exceeds and conv.size[1] * conv.size[2] > 1


def _filter_words(plan: Plan, conv: Conv) -> int:
    facts = plan.facts[conv.name]
    return facts.terms * prod(conv.kernel) * facts.cover.words


def _in_pieces(plan: Plan, conv: Conv, stripes: tuple[Stripe, ...]) -> tuple[Stripe, ...]:
    """Return the stripes of a layer, in pieces where its filters exceed the Filter Cache."""
    if not runs_in_pieces(plan, conv):
        return stripes
    config = plan.config
    if conv.add is not None or conv.pool is not None:
        length = _filter_words(plan, conv)
        raise DoesNotFitError(
            f"layer {conv.name!r} needs {length} words of the Filter Cache, which has "
            f"{config.filter_words}: use an overlay with filter_words >= {length}"
        )
    lanes = config.pixels // gcd(conv.strides[2], config.pixels)
    return tuple(in_pieces(stripe, conv, lanes) for stripe in stripes)


def filter_beats(plan: Plan, conv: Conv) -> int:
    """Return the beats of a layer's filters and parameters, which each stripe reads again."""
    facts = plan.facts[conv.name]
    blocks = facts.out_groups * block_bytes(facts.terms * facts.cover.words, plan.config)
    return -(-blocks // plan.config.ddr_bytes)


def leaving_beats(plan: Plan, conv: Conv) -> int:
    """Return the beats of a layer's result if it is given out, else 0."""
    if conv.target not in plan.graph.outputs:
        return 0
    return plan.whole_rows(plan.storage(conv.target)) * plan.config.row_beats


def _cycles(plan: Plan, conv: Conv, *, overlaps: bool) -> float:
    """Return the cycles of a layer in stripes, loads and stores beside it."""
    beats = plan.config.row_beats
    compute = [
        sum(stripe_cycles(plan, conv, stripe, r) - OVERLAP for r in range(len(stripe.regions)))
        for stripe in plan.stripes[conv.name]
    ]
    loads, stores = [], []
    for stripe in plan.stripes[conv.name]:
        load = store = 0
        if any(plan.streamed(value) for value in conv.reads):
            load += filter_beats(plan, conv)
        if plan.streamed(conv.source):
            storage = plan.storage(conv.source)
            size = stripe.source[1] - stripe.source[0]
            load += plan.stripe_rows(storage, plan.words(storage), size) * beats + LOAD_LATENCY
        if conv.add is not None and plan.streamed(conv.add.operand):
            storage = plan.storage(conv.add.operand)
            size = stripe.added[1] - stripe.added[0]
            load += plan.stripe_rows(storage, plan.words(storage), size) * beats + LOAD_LATENCY
        if plan.streamed(conv.target):
            storage = plan.storage(conv.target)
            size = stripe.target[1] - stripe.target[0]
            store += plan.stripe_rows(storage, plan.target_words(conv), size) * beats
            store *= 4 if storage.sums else 1
        elif conv.target in plan.graph.outputs:
            rows = stripe.target[1] - stripe.target[0]
            store += leaving_beats(plan, conv) * rows // extent(conv)
        loads.append(load)
        stores.append(store)
    if not overlaps:
        return float(sum(compute) + sum(loads) + sum(stores))
    loaded = done = 0.0
    for load, cycles, stored in zip(loads, compute, [0, *stores], strict=False):
        loaded += load + stored  # what leaves goes by the same way
        done = max(done, loaded) + cycles
    return max(done, float(sum(loads) + sum(stores))) + stores[-1]
