"""A plan that fits the overlay: few maps in DDR, and stripes as large as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tf2.arch import OverlayConfig
from tf2.compiler.facts import facts_of
from tf2.compiler.growing import grow, grow_shared, sole_source, ungrow
from tf2.compiler.memory import assign_rows, peak
from tf2.compiler.ops import ArrayGraph, SumPart
from tf2.compiler.pack_first import PackedInput
from tf2.compiler.passage import Passage, find_passage
from tf2.compiler.pitches import Pitches
from tf2.compiler.plan import Plan
from tf2.compiler.slots import Place, Storage
from tf2.compiler.stripe_choice import (
    choose_passage,
    choose_stripes,
    free_rows,
    set_smallest,
    shrink,
)
from tf2.errors import DoesNotFitError


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
    plan.ported = frozenset(name for name in graph.inputs if sole_source(graph, places, name))
    while True:
        p = config.pixels
        fixed = {name: -(-storages[name].size[2] // p) * p for name in plan.spilled}
        plan.pitch = Pitches(graph.convs, facts, places, storages, config, fixed).choose()
        for conv in graph.convs:
            set_smallest(plan, conv)
        tight = _overfull(plan)
        if tight is None:
            try:
                return _settled(plan)
            except DoesNotFitError:  # enough rows, but no room in one piece
                for conv in graph.convs:
                    set_smallest(plan, conv)
                rows = peak(plan.needs(), len(graph.convs))
                tight = max(range(len(rows)), key=rows.__getitem__)
        _spill(plan, tight, passages=passages)


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
    if passage is None or any(plan.busy(conv) for conv in passage.convs):
        for broken in [p for p in plan.passages.values() if _touches(plan, p, name)]:
            del plan.passages[broken.storage]
            plan.spilled.add(broken.storage)
        plan.spilled.add(name)
    else:
        plan.passages[name] = passage


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
        set_smallest(plan, conv)
    for conv in plan.graph.convs:
        if not plan.streams(conv):
            continue
        free = free_rows(plan, conv)
        cycles = choose_stripes(plan, conv, free)
        grow(plan, conv, free, cycles)
    for passage in plan.passages.values():
        choose_passage(plan, passage)
    for name in plan.graph.inputs:
        grow_shared(plan, name)
    while True:
        try:
            plan.rows = assign_rows(plan.needs(), plan.config.feature_rows)
        except DoesNotFitError as error:
            if not ungrow(plan) and not shrink(plan):
                raise DoesNotFitError(f"{plan.graph.convs[0].name!r}...: {error}") from error
        else:
            return plan
