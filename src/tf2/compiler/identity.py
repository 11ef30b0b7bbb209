"""Layers that copy, shift and sum with weights of one: what moves bytes on the array."""

from __future__ import annotations

import numpy as np

from tf2.compiler.ops import Axes, Conv, MapType


def identity(
    name: str, source: str, target: str, kind: MapType, *, strides: Axes = (1, 1, 1)
) -> Conv:
    """Return a layer that copies bytes exactly, every `strides`-th position of them."""
    size = tuple(-(-n // s) for n, s in zip(kind.size, strides, strict=True))
    return window_sums(
        name, source, target, kind, kernel=(1, 1, 1), strides=strides, pads=(0, 0, 0),
        size=(size[0], size[1], size[2]), multiplier=1, shift=0, zero_point=kind.zero_point,
    )  # fmt: skip


def window_sums(
    name: str,
    source: str,
    target: str,
    kind: MapType,
    *,
    kernel: Axes,
    strides: Axes,
    pads: Axes,
    size: Axes,
    multiplier: int,
    shift: int,
    zero_point: int,
    raw: bool = False,
    nodes: tuple[str, ...] = (),
) -> Conv:
    """Return a layer that sums values over windows, channel by channel, and rescales the sums."""
    channels = kind.channels
    one = np.ones(channels, dtype=np.int64)
    return Conv(
        name=name,
        source=source,
        target=target,
        weight=np.ones((channels, 1, *kernel), dtype=np.int8),
        groups=channels,
        factors=(0 * one, multiplier * one, shift * one, multiplier * one, shift * one),
        strides=strides,
        pads=pads,
        size=size,
        zero_point=zero_point,
        raw=raw,
        nodes=nodes,
    )
