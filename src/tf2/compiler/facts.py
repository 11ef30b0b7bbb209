"""What a layer needs that follows from where the channels of its maps lie, not from pitches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tf2.arch import OverlayConfig
from tf2.compiler.geometry import Cover
from tf2.compiler.ops import ArrayGraph, Conv, MapType
from tf2.compiler.slots import Place
from tf2.compiler.weights import terms_needed


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of one layer.

    Attributes:
        source: Type of the map that is read.
        source_slots: Slot of each of its channels.
        cover: Words that groups of outputs read.
        terms: Words of lanes' weights for one of the layer's.
        out_groups: Groups of N outputs.
        first_part: Where in its storage the result begins, in groups of N.
        added_part: As first_part, of the map that is added.
    """

    source: MapType
    source_slots: tuple[int, ...]
    cover: Cover
    terms: int
    out_groups: int
    first_part: int
    added_part: int


def facts_of(
    conv: Conv, graph: ArrayGraph, places: Mapping[str, Place], config: OverlayConfig
) -> Facts:
    """Return the facts of a layer whose maps have their places."""
    target = places[conv.target].slots
    source = places[conv.source].slots
    assert target[0] % config.outputs == 0
    added = places[conv.add.operand].slots[0] // config.outputs if conv.add else 0
    out_groups = -(-len(target) // config.outputs)
    return Facts(
        source=graph.maps[conv.source],
        source_slots=source,
        cover=_cover(conv, source, out_groups, config),
        terms=terms_needed(conv.weight, config),
        out_groups=out_groups,
        first_part=target[0] // config.outputs,
        added_part=added,
    )


def _cover(conv: Conv, slots: tuple[int, ...], out_groups: int, config: OverlayConfig) -> Cover:
    words = np.array(slots) // config.inputs
    low, high = int(words.min()), int(words.max())
    whole = Cover(first=low, words=high - low + 1)
    if conv.groups == 1 or out_groups == 1 or whole.words == 1:
        return whole
    lows, highs = _needs(conv, words, out_groups, config.outputs)
    best = whole
    group = np.arange(out_groups)
    for every in range(1, out_groups + 1):
        for step in range(1, whole.words + 1):
            moved = (group // every) * step
            first = int((lows - moved).min())
            needed = int((highs - moved).max()) - first + 1
            last = first + int(moved[-1]) + needed - 1
            if first >= 0 and last <= high and needed < best.words:
                best = Cover(first=first, words=needed, step=step, every=every)
            if best.words == 1:
                return best
    return best


def _needs(
    conv: Conv, words: np.ndarray, out_groups: int, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last channel word that each group of outputs reads."""
    channels, per_group = len(conv.weight), conv.weight.shape[1]
    per_conv_group = channels // conv.groups
    lows, highs = [], []
    for j in range(out_groups):
        first = j * outputs // per_conv_group
        last = (min((j + 1) * outputs, channels) - 1) // per_conv_group
        read = words[first * per_group : (last + 1) * per_group]
        lows.append(read.min())
        highs.append(read.max())
    return np.array(lows), np.array(highs)
