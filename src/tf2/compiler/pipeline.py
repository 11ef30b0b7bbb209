"""An integer graph -> a compiled network: every stage in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from tf2.arch import OverlayConfig
from tf2.compiler.codegen import make_program
from tf2.compiler.compiled import (
    ArraySegment,
    CompiledModel,
    HostSegment,
    LayerEstimate,
    NodeReport,
    Segment,
)
from tf2.compiler.fit import make_plan
from tf2.compiler.fuse import fuse
from tf2.compiler.hazards import Draft
from tf2.compiler.legalize import legalize
from tf2.compiler.ops import ArrayGraph, Conv, SumPart
from tf2.compiler.pack_first import PackedInput, pack_first
from tf2.compiler.partition import Parts, split_graph
from tf2.compiler.plan import Plan
from tf2.compiler.schedule import Schedule, schedule
from tf2.compiler.slots import give_places
from tf2.compiler.subsample import subsample
from tf2.compiler.timeline import run_cycles
from tf2.compiler.weights import terms_needed
from tf2.ir import Graph, Node
from tf2.isa import Layer
from tf2.isa.overlap import late_start
from tf2.isa.program import Program
from tf2.isa.timing import layer_cycles

STORE_CYCLES = 400
"""Cycles to store an output from which on it may be worth to store it in stripes."""

NEARLY = 1.05
"""Of cycles that are estimated without regard to what loads, stores and filters take from each
other; where they differ by less, what moves fewer bytes is better: maps that go on chip from layer
to layer, and results that are on chip as a whole."""


def compile_graph(
    graph: Graph, config: OverlayConfig, *, watch: Iterable[str] = ()
) -> CompiledModel:
    """Return the network as programs of an overlay and what the host does between them.

    Args:
        graph: A verified integer graph.
        config: The overlay.
        watch: Values to give out as well, where they exist: fused layers keep theirs to themselves.

    Raises:
        DoesNotFitError: A memory of the overlay is too small.
        CompileError: A layer cannot run on it.
    """
    parts = split_graph(graph, config)
    segments: list[Segment] = []
    reports: dict[str, NodeReport] = {}
    for number in sorted(set(parts.segment.values())):
        nodes = [n for n in graph.nodes if parts.segment.get(n.name) == number]
        inputs, outputs = _border(graph, parts, nodes, number)
        if number % 2 == 0:
            segments.append(_host(graph, nodes, inputs, outputs))
            continue
        array = legalize(graph, nodes, parts.views, inputs=inputs, outputs=outputs)
        segment = _array(array, config, frozenset(watch))
        segments.append(segment[0])
        reports.update(_array_reports(nodes, segment[1]))
    return CompiledModel(
        graph=graph,
        config=config,
        segments=tuple(segments),
        nodes=tuple(reports.get(n.name) or _other_report(n, parts) for n in graph.nodes),
    )


def _border(
    graph: Graph, parts: Parts, nodes: list[Node], number: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the values that a segment reads from others, and those that others read of it."""
    written = {name for node in nodes for name in node.outputs if name}
    read = dict.fromkeys(r for node in nodes for r in parts.reads[node.name])
    later = {
        r for name, segment in parts.segment.items() if segment != number for r in parts.reads[name]
    }
    wanted = later.union(graph.outputs)
    outputs = [name for node in nodes for name in node.outputs if name in wanted]
    return tuple(r for r in read if r not in written), tuple(outputs)


def _host(
    graph: Graph, nodes: list[Node], inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> HostSegment:
    part = Graph(
        name=f"{graph.name}.host",
        inputs=inputs,
        outputs=outputs,
        nodes=tuple(nodes),
        types=graph.types,
        constants=graph.constants,
        batch_is_free=False,
    )
    return HostSegment(graph=part.replaced())


def _may_fuse(array: ArrayGraph, conv: Conv, behind: Conv, config: OverlayConfig) -> bool:
    """Return whether a layer may take in a sum or a pool: where it runs in one piece.

    Its filters must surely fit into the ring. Where its stride shares a factor with the banks,
    positions are computed a few at a time, which does not suit the bytes that are added.
    """
    if behind.add is not None and gcd(conv.strides[2], config.pixels) > 1:
        return False
    taps = int(np.prod(conv.kernel))
    words = -(-conv.weight.shape[1] // config.inputs)
    if conv.groups > 1 and conv.weight.shape[1] % config.inputs:
        words += 1  # a group may begin within a word
    views = {view.target for view in array.chosen}
    for join in array.joined:  # each part begins a word of its own
        if conv.source == join.target:
            words += len(join.parts)
    if conv.source in views:
        words = -(-array.maps[array.base(conv.source)[0]].channels // config.inputs)
    return taps * words * terms_needed(conv.weight, config) <= config.filter_words


def _array(
    array: ArrayGraph, config: OverlayConfig, watch: frozenset[str]
) -> tuple[ArraySegment, Plan]:
    array = fuse(array, lambda conv, behind: _may_fuse(array, conv, behind, config))
    made = [*(c.target for c in array.convs), *(join.target for join in array.joined)]
    seen = tuple(v for v in made if v in watch and v not in array.outputs)
    array = replace(array, outputs=(*array.outputs, *seen))
    values, outputs = array.inputs, array.outputs
    array, packed = pack_first(array, config)
    array = subsample(array, config)
    plan, drawn, program = _planned(array, packed, config)
    cycles = run_cycles(program.instructions, config)
    passages = False
    if plan.spilled:
        trial = _planned(array, packed, config, passages=True)
        trial_cycles = run_cycles(trial[2].instructions, config)
        if trial_cycles < cycles * NEARLY:
            (plan, drawn, program), cycles, passages = trial, trial_cycles, True
    for name in _streamable(plan):
        # An output of some size may leave in stripes, while its layer still runs.
        spilled = (*plan.spilled, name)
        trial = _planned(array, packed, config, spilled=spilled, passages=passages)
        trial_cycles = run_cycles(trial[2].instructions, config)
        if trial_cycles * NEARLY < cycles:
            (plan, drawn, program), cycles = trial, trial_cycles
    return ArraySegment(
        program=program,
        inputs=values,
        outputs=outputs,
        estimates=_estimates(plan, drawn.drafts, program),
        cycles=cycles,
        spilled=tuple(sorted(plan.spilled)),
    ), plan


def _estimates(plan: Plan, drafts: Sequence[Draft], program: Program) -> tuple[LayerEstimate, ...]:
    cycles: dict[str, list[int]] = {conv.name: [0, 0] for conv in plan.graph.convs}
    names = [draft.layer for draft in drafts if isinstance(draft.instruction, Layer)]
    layers = [i for i in program.instructions if isinstance(i, Layer)]
    before: Layer | None = None
    for name, layer in zip(names, layers, strict=True):
        cycles[name][0] += layer_cycles(layer, plan.config)
        cycles[name][1] += 1
        if before is not None and layer.start_after:
            cycles[name][0] -= late_start(before, plan.config) - layer.start_after
        before = layer
    return tuple(
        LayerEstimate(name=c.name, cycles=cycles[c.name][0], macs=c.macs,
                      instructions=cycles[c.name][1])
        for c in plan.graph.convs
    )  # fmt: skip


def _planned(
    array: ArrayGraph,
    packed: Mapping[str, PackedInput],
    config: OverlayConfig,
    spilled: tuple[str, ...] = (),
    *,
    passages: bool = False,
) -> tuple[Plan, Schedule, Program]:
    """Return plan, schedule and program; parts of maps in DDR begin at whole words."""
    plan = _plan(array, packed, config, spilled, config.outputs, passages=passages)
    starts = (plan.places[c.target].slots[0] for c in plan.graph.convs if plan.spills(c.target))
    if any(start % config.inputs for start in starts):
        plan = _plan(array, packed, config, spilled, config.inputs, passages=passages)
    drawn = schedule(plan)
    return plan, drawn, make_program(plan, drawn)


def _plan(
    array: ArrayGraph,
    packed: Mapping[str, PackedInput],
    config: OverlayConfig,
    spilled: tuple[str, ...],
    alignment: int,
    *,
    passages: bool,
) -> Plan:
    placed, places, storages = give_places(array, alignment)
    return make_plan(placed, packed, config, places, storages, spilled, passages=passages)


def _streamable(plan: Plan) -> list[str]:
    """Return the outputs that one layer writes, none reads, and that take long to store."""
    graph = plan.graph
    read = {plan.places[value].storage for conv in graph.convs for value in conv.reads}
    found = []
    for value in graph.outputs:
        name = plan.places[value].storage
        writers = [c for c in graph.convs if plan.places[c.target].storage == name]
        beats = plan.whole_rows(plan.storages[name]) * plan.config.row_beats
        if name in read or name in plan.spilled or len(writers) != 1:
            continue
        if beats >= STORE_CYCLES and not isinstance(writers[0].pool, SumPart):
            found.append(name)
    return found


def _array_reports(nodes: list[Node], plan: Plan) -> dict[str, NodeReport]:
    reports: dict[str, NodeReport] = {}
    made = {name: conv.name for conv in plan.graph.convs for name in conv.nodes}
    for node in nodes:
        into = made.get(node.name, "")
        if node.kind == "Concat":
            reports[node.name] = NodeReport(
                node=node.name, kind=node.kind, where="view",
                reason="its parts are written side by side",
            )  # fmt: skip
            continue
        own = into == node.name
        reports[node.name] = NodeReport(
            node=node.name,
            kind=node.kind,
            where="array" if own else "fused",
            into=into,
            reason="a layer of its own" if own else f"behind {into}",
        )
    return reports


def _other_report(node: Node, parts: Parts) -> NodeReport:
    if node.name not in parts.segment:
        return NodeReport(
            node=node.name, kind=node.kind, where="view",
            reason="its bytes are read where they are",
        )  # fmt: skip
    why = parts.refused.get(node.name) or "the array has no such operator"
    return NodeReport(node=node.name, kind=node.kind, where="host", reason=why)
