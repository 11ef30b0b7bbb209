"""Maps that strided 1x1 layers read beside others are copied at the stride first, where that pays.

A layer of stride 2 wants another pitch than one of stride 1. The copy costs a cycle a group; the
1x1 layers behind it then have stride 1.
"""

from __future__ import annotations

from dataclasses import replace

from tf2.arch import OverlayConfig
from tf2.compiler.facts import facts_of
from tf2.compiler.identity import identity
from tf2.compiler.ops import ArrayGraph, Axes, Conv
from tf2.compiler.pitches import Pitches
from tf2.compiler.slots import give_places


def subsample(graph: ArrayGraph, config: OverlayConfig) -> ArrayGraph:
    """Return the graph with the copies that make it faster."""
    best = None
    for source, strides in dict.fromkeys(
        (conv.source, conv.strides) for conv in graph.convs if _is_strided(conv)
    ):
        readers = [conv for conv in graph.convs if source in conv.reads]
        if source in graph.inputs or all(conv.strides == strides for conv in readers):
            continue
        best = _cost(graph, config) if best is None else best
        trial = _with_copy(graph, source, strides)
        cost = _cost(trial, config)
        if cost < best:
            graph, best = trial, cost
    return graph


def _is_strided(conv: Conv) -> bool:
    return conv.kernel == (1, 1, 1) and conv.strides != (1, 1, 1) and conv.pads == (0, 0, 0)


def _with_copy(graph: ArrayGraph, source: str, strides: Axes) -> ArrayGraph:
    name = f"{source}/{'x'.join(map(str, strides))}"
    copy = identity(name, source, name, graph.maps[source], strides=strides)
    convs: list[Conv] = []
    for conv in graph.convs:
        if conv.source == source and conv.strides == strides and _is_strided(conv):
            if copy not in convs:
                convs.append(copy)
            conv = replace(conv, source=name, strides=(1, 1, 1))
        convs.append(conv)
    maps = {**graph.maps, name: replace(graph.maps[source], size=copy.size)}
    return replace(graph, convs=tuple(convs), maps=maps)


def _cost(graph: ArrayGraph, config: OverlayConfig) -> int:
    placed, places, storages = give_places(graph, config.outputs)
    facts = {conv.name: facts_of(conv, placed, places, config) for conv in placed.convs}
    pitches = Pitches(placed.convs, facts, places, storages, config, {})
    return pitches.total(pitches.choose())
