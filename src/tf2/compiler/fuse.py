"""Additions and poolings move into the layer before them, where no one else reads what it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tf2.compiler.ops import AddPart, ArrayGraph, Conv, Joined

MayFuse = Callable[[Conv, Conv], bool]
"""Whether a layer may take in the copy, with its sum or pool, that follows it."""


def fuse(graph: ArrayGraph, may_fuse: MayFuse) -> ArrayGraph:
    """Return the graph with fewer layers, computing the same bytes."""
    graph = _pools_before_joins(graph, may_fuse)
    convs = list(graph.convs)
    index = 0
    while index < len(convs):
        merged = _merged(graph, convs, index, may_fuse)
        if merged is None:
            index += 1
            continue
        before, conv = merged
        # A sum stands where its operands are there; a pooling where its layer stands.
        convs[index] = conv
        del convs[before]
        if conv.add is None:
            convs.insert(before, convs.pop(index - 1))
    return replace(graph, convs=tuple(convs))


def is_copy(conv: Conv) -> bool:
    """Return whether a layer's convolution copies bytes, so that another may take its place."""
    return (
        conv.weight.shape[1:] == (1, 1, 1, 1)
        and conv.strides == (1, 1, 1)
        and (conv.low, conv.high) == (-128, 127)
        and bool((conv.weight == 1).all())
        and all((a == b).all() for a, b in zip(conv.factors, (0, 1, 0, 1, 0), strict=True))
        and (conv.add is not None or conv.pool is not None)
    )


def users(graph: ArrayGraph, convs: list[Conv]) -> Counter[str]:
    """Return how often each map is read."""
    count = Counter(name for conv in convs for name in conv.reads)
    count.update(view.source for view in graph.chosen)
    count.update(part for joined in graph.joined for part in joined.parts)
    count.update(graph.outputs)
    return count


def _merged(
    graph: ArrayGraph, convs: list[Conv], index: int, may_fuse: MayFuse
) -> tuple[int, Conv] | None:
    """Return (place of the layer before, both in one), None where they cannot be one."""
    copy = convs[index]
    if not is_copy(copy):
        return None
    made = {conv.target: i for i, conv in enumerate(convs[:index])}
    count = users(graph, convs)
    for turned in (copy, _turned(graph, copy)):
        if turned is None or turned.source not in made or count[turned.source] != 1:
            continue
        before = convs[made[turned.source]]
        if before.pool is not None or before.raw or not may_fuse(before, turned):
            continue
        if before.add is not None and (turned.add is not None or turned.raw):
            continue
        merged = replace(
            before,
            name=before.name,
            target=turned.target,
            add=turned.add or before.add,
            pool=turned.pool,
            raw=turned.raw,
            nodes=(*before.nodes, *turned.nodes),
        )
        return made[turned.source], merged
    return None


def _turned(graph: ArrayGraph, copy: Conv) -> Conv | None:
    """Return a sum with its operands exchanged."""
    if copy.add is None:
        return None
    part = copy.add
    turned = AddPart(
        operand=copy.source, shift_y=part.shift_r, shift_r=part.shift_y, shift_out=part.shift_out,
        zero_point=copy.zero_point, out_zero_point=part.out_zero_point, low=part.low,
        high=part.high,
    )  # fmt: skip
    return replace(copy, source=part.operand, zero_point=part.zero_point, add=turned)


def _pools_before_joins(graph: ArrayGraph, may_fuse: MayFuse) -> ArrayGraph:
    """Return the graph with each pooling of a join done on its parts, if these can take it in."""
    convs, joined, maps = list(graph.convs), list(graph.joined), dict(graph.maps)
    for place, join in enumerate(joined):
        count = users(replace(graph, joined=tuple(joined)), convs)
        pools = [i for i, conv in enumerate(convs) if conv.source == join.target]
        if count[join.target] != 1 or len(pools) != 1:
            continue
        pool = convs[pools[0]]
        makers = {conv.target: conv for conv in convs}
        if not (is_copy(pool) and pool.pool and pool.add is None and not pool.raw) or not all(
            part in makers
            and count[part] == 1
            and makers[part].pool is None
            and not makers[part].raw
            and may_fuse(makers[part], pool)
            for part in join.parts
        ):
            continue
        new = []
        for part in join.parts:
            target = f"{part}.pooled"
            maps[target] = replace(maps[pool.target], channels=maps[part].channels)
            new.append(_for_channels(pool, part, target, maps[part].channels))
        convs[pools[0] : pools[0] + 1] = new
        joined[place] = Joined(target=pool.target, parts=tuple(conv.target for conv in new))
    return replace(graph, convs=tuple(convs), joined=tuple(joined), maps=maps)


def _for_channels(copy: Conv, source: str, target: str, channels: int) -> Conv:
    return replace(
        copy,
        name=f"{copy.name}:{source}",
        source=source,
        target=target,
        weight=copy.weight[:1].repeat(channels, axis=0),
        groups=channels,
        factors=tuple(factor[:1].repeat(channels) for factor in copy.factors),
    )
