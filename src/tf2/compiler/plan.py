"""What lies on chip, what streams through, in how many stripes: the plan of one segment.

Maps stay on chip from their first writer to their last reader. Where that does not fit, the
largest maps at the tightest layer go to DDR: they are then laid out row by row of the map (of
volumes, slice by slice), so that a stripe is one stretch, written and read in one go; or they are
passages (`compiler.passage`) and never exist as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd

from tf2.arch import OverlayConfig
from tf2.compiler.facts import Facts, facts_of
from tf2.compiler.geometry import (
    Grid,
    build_layer,
    layer_cycles,
    overhang,
    reach,
)
from tf2.compiler.growing import growing_spans
from tf2.compiler.memory import Need, assign_rows, peak
from tf2.compiler.ops import ArrayGraph, Conv, SumPart
from tf2.compiler.pack_first import PackedInput
from tf2.compiler.passage import Passage, find_passage, passage_stripes
from tf2.compiler.pitches import Pitches
from tf2.compiler.slots import Place, Storage
from tf2.compiler.stripes import Span, Stripe, axis_of, cut, even_spans, extent, in_pieces, whole
from tf2.errors import CompileError, DoesNotFitError
from tf2.isa.filters import block_bytes

LOAD_LATENCY = 60
"""Cycles from the request of a stripe to its first row."""

START_CYCLES = 200
"""Cycles from the start of a program to the first row of its first load, filters beside it."""

LOAD_CYCLES = 6
"""Cycles of a load beyond its beats while others wait: its instruction, and shorter bursts."""

MOST_STRIPES = 32
"""Stripes into which an input is cut so that its load hides behind the first layer."""


@dataclass(kw_only=True)
class Plan:
    """The plan of one segment.

    Attributes:
        graph: With copies, in the order in which layers run.
        packed: Inputs whose taps the host packs.
        config: The overlay.
        places: Of maps.
        storages: By name.
        facts: Of layers.
        pitch: Of storages.
        ported: Inputs that the host lays down stripe by stripe; one layer reads each.
        growing: Inputs that lie on chip as a whole, loaded a few rows at a time before each stripe
            of the layer that reads them.
        spilled: Storages in DDR.
        passages: Of storages that are on chip a stripe at a time, by name.
        stripes: Of layers.
        slots: Stripes of a streamed map that are on chip at once, by layer.
        rows: First row of each stretch of the Feature Buffer, by name.
    """

    graph: ArrayGraph
    packed: Mapping[str, PackedInput]
    config: OverlayConfig
    places: Mapping[str, Place]
    storages: Mapping[str, Storage]
    facts: Mapping[str, Facts]
    pitch: dict[str, int] = field(default_factory=dict)
    ported: frozenset[str] = frozenset()
    growing: frozenset[str] = frozenset()
    spilled: set[str] = field(default_factory=set)
    passages: dict[str, Passage] = field(default_factory=dict)
    stripes: dict[str, tuple[Stripe, ...]] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def storage(self, value: str) -> Storage:
        """Return where a map lies."""
        return self.storages[self.places[value].storage]

    def words(self, storage: Storage) -> int:
        """Return the channel words of a storage."""
        return -(-storage.slots // self.config.inputs)

    def streamed(self, value: str) -> bool:
        """Return whether a map goes through the Feature Buffer stripe by stripe."""
        name = self.places[value].storage
        return name in self.spilled or name in self.ported

    def spills(self, value: str) -> bool:
        """Return whether a map lies in DDR."""
        return self.places[value].storage in self.spilled

    def passes(self, value: str) -> bool:
        """Return whether a map is on chip a stripe at a time, and never elsewhere."""
        return self.places[value].storage in self.passages

    def passage(self, conv: Conv) -> Passage | None:
        """Return the passage in which a layer takes turns."""
        return next((p for p in self.passages.values() if conv.name in p.names), None)

    def passage_rows(self, passage: Passage) -> int:
        """Return the rows of the longest stripe of a passage."""
        spans = [stripe.source for stripe in self.stripes[passage.reader.name]]
        storage = self.storages[passage.storage]
        return self.words(storage) * self.plane_rows(storage, max(e - b for b, e in spans))

    def plane_rows(self, storage: Storage, height: int) -> int:
        """Return the rows of a plane with that many rows of the map."""
        return -(-height * self.pitch[storage.name] // self.config.pixels)

    def whole_rows(self, storage: Storage) -> int:
        """Return the rows of a storage that lies on chip as a whole."""
        rows = self.words(storage) * self.plane_rows(storage, storage.size[1])
        return storage.size[0] * rows * (4 if storage.sums else 1)

    def rows_of_plane(self, storage: Storage, span: Span) -> tuple[int, int]:
        """Return the rows of a plane in which rows of the map lie, and the one after the last."""
        pitch, p = self.pitch[storage.name], self.config.pixels
        return span[0] * pitch // p, -(-span[1] * pitch // p)

    def stripe_rows(self, storage: Storage, words: int, count: int) -> int:
        """Return the rows of that many rows, or slices, of a map with that many words."""
        if axis_of(storage.size) == 0:
            return count * words * self.plane_rows(storage, storage.size[1])
        return words * self.plane_rows(storage, count)

    def target_words(self, conv: Conv) -> int:
        """Return the words that a layer alone writes of a spilled storage."""
        return -(-len(self.places[conv.target].slots) // self.config.inputs)

    def needs(self) -> list[Need]:
        """Return what must lie in the Feature Buffer, and when."""
        index = {conv.name: i for i, conv in enumerate(self.graph.convs)}
        life: dict[str, list[int]] = {}
        turns = {
            conv.name: (index[passage.writers[0].name], index[passage.reader.name])
            for passage in self.passages.values() for conv in passage.convs
        }  # fmt: skip
        for conv in self.graph.convs:
            at = index[conv.name]
            for value in (*conv.reads, conv.target):
                if not self.streamed(value) and not self.passes(value):
                    name = self.places[value].storage
                    life.setdefault(name, []).extend(turns.get(conv.name, (at,)))
        needs = [
            Need(name=name, rows=self.whole_rows(self.storages[name]), first=min(at), last=max(at))
            for name, at in life.items()
        ]
        for passage in self.passages.values():
            first, last = turns[passage.reader.name]
            rows = self.passage_rows(passage)
            needs.append(Need(name=f"{passage.storage}/stripe", rows=rows, first=first, last=last))
        for conv in self.graph.convs:
            at = index[conv.name]
            for role, rows in self.slot_rows(conv).items():
                needs += [
                    Need(name=f"{conv.name}/{role}{slot}", rows=rows, first=at, last=at)
                    for slot in range(self.slots[conv.name])
                ]
        return needs

    def slot_rows(self, conv: Conv) -> dict[str, int]:
        """Return the rows of one slot of each streamed map of a layer, by role."""
        rows: dict[str, int] = {}
        stripes = self.stripes[conv.name]
        spans: dict[str, tuple[str, int, list[Span]]] = {}
        if self.streamed(conv.source):
            words = self.words(self.storage(conv.source))
            spans["source"] = (conv.source, words, [s.source for s in stripes])
        if conv.add is not None and self.streamed(conv.add.operand):
            words = self.words(self.storage(conv.add.operand))
            spans["added"] = (conv.add.operand, words, [s.added for s in stripes])
        if self.streamed(conv.target):
            spans["target"] = (conv.target, self.target_words(conv), [s.target for s in stripes])
        for role, (value, words, parts) in spans.items():
            longest = max(end - begin for begin, end in parts)
            storage = self.storage(value)
            rows[role] = self.stripe_rows(storage, words, longest) * (4 if storage.sums else 1)
        return rows


def make_plan(
    graph: ArrayGraph,
    packed: Mapping[str, PackedInput],
    config: OverlayConfig,
    places: Mapping[str, Place],
    storages: Mapping[str, Storage],
    spilled: Iterable[str] = (),
    *,
    passages: bool = False,
) -> Plan:
    """Return a plan that fits, with these storages and as few others as possible in DDR.

    Args:
        graph: Fused.
        packed: Inputs whose taps the host packs.
        config: The overlay.
        places: Of maps.
        storages: By name.
        spilled: Storages in DDR, whatever else is.
        passages: Whether what does not fit becomes a passage, where it can.

    Raises:
        DoesNotFitError: None does; names the layer and what is missing.
        CompileError: A layer cannot be laid out at all.
    """
    facts = {conv.name: facts_of(conv, graph, places, config) for conv in graph.convs}
    plan = Plan(
        graph=graph,
        packed=packed,
        config=config,
        places=places,
        storages=storages,
        facts=facts,
        spilled=set(spilled),
    )
    plan.ported = frozenset(name for name in graph.inputs if _sole_source(graph, places, name))
    while True:
        p = config.pixels
        fixed = {name: -(-storages[name].size[2] // p) * p for name in plan.spilled}
        plan.pitch = Pitches(graph.convs, facts, places, storages, config, fixed).choose()
        for conv in graph.convs:
            _lower_slots(plan, conv)
        tight = _overfull(plan)
        if tight is None:
            try:
                return _settled(plan)
            except DoesNotFitError:  # enough rows, but no room in one piece
                for conv in graph.convs:
                    _lower_slots(plan, conv)
                rows = peak(plan.needs(), len(graph.convs))
                tight = max(range(len(rows)), key=rows.__getitem__)
        _spill(plan, tight, passages=passages)


def _sole_source(graph: ArrayGraph, places: Mapping[str, Place], value: str) -> bool:
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


def _streams(plan: Plan, conv: Conv) -> bool:
    return any(plan.streamed(value) for value in (*conv.reads, conv.target))


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


def _set_stripes(plan: Plan, conv: Conv, count: int, slots: int) -> None:
    size = plan.facts[conv.name].source.size
    plan.stripes[conv.name] = _in_pieces(plan, conv, cut(conv, size, _spans(plan, conv, count)))
    plan.slots[conv.name] = min(slots, len(plan.stripes[conv.name]))


def _lower_slots(plan: Plan, conv: Conv) -> None:
    """Give a layer the smallest stripes there are, to see whether anything fits."""
    passage = plan.passage(conv)
    if passage is not None:
        _set_passage(plan, passage, extent(passage.reader))
    elif _streams(plan, conv):
        _set_stripes(plan, conv, extent(conv), 1)
    else:
        stripes = whole(conv, plan.facts[conv.name].source.size)
        plan.stripes[conv.name] = _in_pieces(plan, conv, stripes)
        plan.slots[conv.name] = 1


def _set_passage(plan: Plan, passage: Passage, count: int) -> None:
    sizes = {conv.name: plan.facts[conv.name].source.size for conv in passage.convs}
    stripes = passage_stripes(passage, sizes, count)
    for conv in passage.convs:
        plan.stripes[conv.name] = _in_pieces(plan, conv, stripes[conv.name])
        plan.slots[conv.name] = 1


def _in_pieces(plan: Plan, conv: Conv, stripes: tuple[Stripe, ...]) -> tuple[Stripe, ...]:
    """Return the stripes of a layer, in pieces where its filters exceed the Filter Cache."""
    config, facts = plan.config, plan.facts[conv.name]
    z, y, x = conv.kernel
    length = facts.terms * z * y * x * facts.cover.words
    lanes = config.pixels // gcd(conv.strides[2], config.pixels)
    if length <= config.filter_words or conv.size[1] * conv.size[2] == 1:
        return stripes
    if conv.add is not None or conv.pool is not None:
        raise DoesNotFitError(
            f"layer {conv.name!r} needs {length} words of the Filter Cache, which has "
            f"{config.filter_words}: use an overlay with filter_words >= {length}"
        )
    return tuple(in_pieces(stripe, conv, lanes) for stripe in stripes)


def _overfull(plan: Plan) -> int | None:
    """Return the layer at which most rows are missing, None where all fits."""
    rows = peak(plan.needs(), len(plan.graph.convs))
    most = max(range(len(rows)), key=rows.__getitem__)
    return most if rows[most] > plan.config.feature_rows else None


def _spill(plan: Plan, layer: int, *, passages: bool) -> None:
    """Send the largest map that is alive at a layer to DDR, or make it a passage."""
    alive = [
        need
        for need in plan.needs()
        if need.first <= layer <= need.last and need.name in plan.storages
    ]
    summed = {
        plan.places[name].storage
        for c in plan.graph.convs
        if isinstance(c.pool, SumPart)
        for name in (*c.reads, c.target)
    }
    able = [need for need in alive if need.name not in summed]
    conv = plan.graph.convs[layer]
    if not able:
        missing = peak(plan.needs(), len(plan.graph.convs))[layer] - plan.config.feature_rows
        raise DoesNotFitError(
            f"layer {conv.name!r} needs {missing} rows more than the {plan.config.feature_rows} "
            f"of the Feature Buffer, one row of the map at a time: use an overlay with "
            f"feature_rows >= {missing + plan.config.feature_rows}"
        )
    name = max(able, key=lambda need: need.rows).name
    passage = find_passage(plan.graph, plan.places, plan.storages[name]) if passages else None
    if passage is None or any(_busy(plan, conv) for conv in passage.convs):
        for broken in [p for p in plan.passages.values() if _touches(plan, p, name)]:
            del plan.passages[broken.storage]
            plan.spilled.add(broken.storage)
        plan.spilled.add(name)
    else:
        plan.passages[name] = passage


def _busy(plan: Plan, conv: Conv) -> bool:
    """Return whether a layer reads or writes what is not on chip as a whole."""
    return _streams(plan, conv) or plan.passage(conv) is not None


def _touches(plan: Plan, passage: Passage, name: str) -> bool:
    """Return whether a layer that takes turns reads or writes a storage."""
    return any(
        plan.places[value].storage == name
        for conv in passage.convs
        for value in (*conv.reads, conv.target)
    )


def _settled(plan: Plan) -> Plan:
    """Choose as large stripes as fit, and assign rows."""
    for conv in plan.graph.convs:
        _lower_slots(plan, conv)
    for conv in plan.graph.convs:
        if not _streams(plan, conv):
            continue
        free = _free(plan, conv)
        cycles = _best_stripes(plan, conv, free)
        _grow(plan, conv, free, cycles)
    for passage in plan.passages.values():
        _best_passage(plan, passage)
    for name in plan.graph.inputs:
        _grow_shared(plan, name)
    while True:
        try:
            plan.rows = assign_rows(plan.needs(), plan.config.feature_rows)
        except DoesNotFitError as error:
            if not _ungrow(plan) and not _shrink(plan):
                raise DoesNotFitError(f"{plan.graph.convs[0].name!r}...: {error}") from error
        else:
            return plan


def _grow(plan: Plan, conv: Conv, free: int, cycles: float) -> None:
    """Let an input lie on chip as a whole and grow there, where it fits and takes fewer cycles."""
    name = conv.source
    if name not in plan.ported or plan.whole_rows(plan.storage(name)) > free:
        return
    others = [value for value in (conv.target, *conv.reads) if value != name]
    if any(map(plan.streamed, others)) or not _may_grow(plan, conv):
        return
    spans, end = _growth(plan, conv)
    if end - START_CYCLES < cycles:
        plan.ported -= {name}
        _let_grow(plan, conv, spans)


def _grow_shared(plan: Plan, name: str) -> None:
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
    if _busy(plan, conv) or isinstance(conv.pool, SumPart) or not _may_grow(plan, conv):
        return
    spans, _ = _growth(plan, conv)
    if len(spans) > 1:
        _let_grow(plan, conv, spans)


def _may_grow(plan: Plan, conv: Conv) -> bool:
    """Return whether a layer can run in stripes over an input of which the rest still comes."""
    planes = max(conv.size[0], plan.storage(conv.source).size[0])
    pieces = any(len(stripe.regions) > 1 for stripe in plan.stripes[conv.name])
    return planes == 1 and conv.add is None and not pieces


def _let_grow(plan: Plan, conv: Conv, spans: list[Span]) -> None:
    plan.growing |= {conv.source}
    plan.stripes[conv.name] = cut(conv, plan.facts[conv.name].source.size, spans)
    plan.slots[conv.name] = 1


def _growth(plan: Plan, conv: Conv) -> tuple[list[Span], int]:
    """Return the stripes that end earliest while a layer's input comes in, and when that is."""
    storage, facts = plan.storage(conv.source), plan.facts[conv.name]
    size, words = facts.source.size, plan.words(storage)
    known: dict[tuple[int, int, tuple[int, int]], int] = {}
    blocks = facts.out_groups * block_bytes(facts.terms * facts.cover.words, plan.config)
    # Filters and instructions of a stripe come by the same way.
    each = -(-blocks // plan.config.ddr_bytes) + words * LOAD_CYCLES
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
            known[key] = stripe_cycles(plan, conv, stripe, 0)
        return known[key]

    return growing_spans(extent(conv), loaded, taken)


def _ungrow(plan: Plan) -> bool:
    """Let an input pass stripe by stripe again."""
    for name in sorted(plan.growing):
        if not _sole_source(plan.graph, plan.places, name):
            continue  # it takes the same rows if it does not grow
        plan.growing -= {name}
        plan.ported |= {name}
        conv = next(conv for conv in plan.graph.convs if conv.source == name)
        _lower_slots(plan, conv)
        _best_stripes(plan, conv, _free(plan, conv))
        return True
    return False


def _free(plan: Plan, conv: Conv) -> int:
    """Return the rows that stripes of a layer may take."""
    others = [n for n in plan.needs() if not n.name.startswith(f"{conv.name}/")]
    at = plan.graph.convs.index(conv)
    return plan.config.feature_rows - peak(others, len(plan.graph.convs))[at]


def _best_stripes(plan: Plan, conv: Conv, free: int) -> float:
    """Choose the number of stripes that takes the fewest cycles among those that fit: these."""
    best: tuple[float, int, int] | None = None
    most = min(extent(conv), MOST_STRIPES)
    counts = [*range(1, most + 1), extent(conv)]
    for count in counts:
        _set_stripes(plan, conv, count, count)
        each = sum(plan.slot_rows(conv).values())
        slots = min(plan.slots[conv.name], free // each if each else 1)
        if slots < 1:
            continue
        cycles = _cycles(plan, conv, overlaps=slots >= min(2, len(plan.stripes[conv.name])))
        if best is None or cycles < best[0]:
            best = (cycles, count, slots)
    assert best is not None  # the smallest stripes fit, or the map would not be where it is
    _set_stripes(plan, conv, best[1], best[2])
    return best[0]


def _best_passage(plan: Plan, passage: Passage) -> None:
    """Choose the number of stripes that takes the fewest cycles among those that fit."""
    convs = plan.graph.convs
    others = [need for need in plan.needs() if need.name != f"{passage.storage}/stripe"]
    first, last = convs.index(passage.writers[0]), convs.index(passage.reader)
    free = plan.config.feature_rows - max(peak(others, len(convs))[first : last + 1])
    best: tuple[int, int] | None = None
    for count in [*range(1, min(extent(passage.reader), MOST_STRIPES) + 1), extent(passage.reader)]:
        _set_passage(plan, passage, count)
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
    _set_passage(plan, passage, best[1])


def _cycles(plan: Plan, conv: Conv, *, overlaps: bool) -> float:
    """Return the cycles of a layer in stripes, loads and stores beside it."""
    beats = plan.config.row_beats
    compute = [
        sum(stripe_cycles(plan, conv, stripe, r) for r in range(len(stripe.regions)))
        for stripe in plan.stripes[conv.name]
    ]
    loads, stores = [], []
    for stripe in plan.stripes[conv.name]:
        load = store = 0
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
        loads.append(load)
        stores.append(store)
    if not overlaps:
        return float(sum(compute) + sum(loads) + sum(stores))
    loaded = done = 0.0
    for load, cycles in zip(loads, compute, strict=True):
        loaded += load
        done = max(done, loaded) + cycles
    return max(done, float(sum(loads) + sum(stores))) + stores[-1]


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


def _shrink(plan: Plan) -> bool:
    """Take a slot from the layer that has the most rows in slots, or cut it finer."""
    streaming = [conv for conv in plan.graph.convs if _streams(plan, conv)]

    def rows(conv: Conv) -> int:
        return sum(plan.slot_rows(conv).values()) * plan.slots[conv.name]

    for passage in sorted(plan.passages.values(), key=plan.passage_rows, reverse=True):
        stripes = len(plan.stripes[passage.reader.name])
        _set_passage(plan, passage, stripes + max(1, stripes // 4))
        if len(plan.stripes[passage.reader.name]) > stripes:
            return True
    for conv in sorted(streaming, key=rows, reverse=True):
        stripes, slots = len(plan.stripes[conv.name]), plan.slots[conv.name]
        if slots > 2:
            _set_stripes(plan, conv, stripes, max(2, slots // 2))
            return True
        _set_stripes(plan, conv, stripes * 2, slots)
        if len(plan.stripes[conv.name]) > stripes:
            return True
        _set_stripes(plan, conv, stripes, 1)
        if slots > 1:
            return True
    return False
