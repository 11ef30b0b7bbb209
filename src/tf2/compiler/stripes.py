"""How a layer is cut into stripes: rows of a map, or slices of a volume, one after the other.

A layer of which a map is not on chip as a whole runs stripe by stripe; the next stripe is loaded,
and the last one stored, while one is computed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from tf2.compiler.geometry import Region, conv_rows, reach
from tf2.compiler.ops import Axes, Conv

Span = tuple[int, int]
"""First row (or slice), and the one after the last."""


@dataclass(frozen=True, kw_only=True)
class Stripe:
    """One stripe of a layer.

    Attributes:
        regions: What is computed, one `isa.Layer` each.
        source: Rows, of volumes slices, that are read.
        target: Those that are written.
        added: Those of the map that is added.
        apart: Slices that are read where these lie apart (dilation); they are then brought
            together, and `source` counts them from 0.
    """

    regions: tuple[Region, ...]
    source: Span
    target: Span
    added: Span
    apart: tuple[int, ...] = ()


def axis_of(size: Axes) -> int:
    """Return the axis along which a map is cut: slices of a volume, else rows."""
    return 0 if size[0] > 1 else 1


def extent(conv: Conv) -> int:
    """Return the rows, or slices, of a layer's result."""
    return conv.size[0] if conv.size[0] > 1 else conv_rows(conv)


def whole(conv: Conv, source: Axes) -> tuple[Stripe, ...]:
    """Return a layer as one stripe."""
    return cut(conv, source, [(0, extent(conv))])


def even_spans(length: int, count: int, quantum: int) -> list[Span]:
    """Return at most `count` spans of nearly the same length that begin at multiples."""
    units = -(-length // quantum)
    count = min(count, units)
    starts = [units * i // count * quantum for i in range(count)] + [length]
    return list(itertools.pairwise(starts))


def in_pieces(stripe: Stripe, conv: Conv, columns: int) -> Stripe:
    """Return a stripe whose regions are pieces of rows of at most that many columns.

    A piece takes one group of lanes, so that each filter word is used once and may be as many as
    there are.
    """
    return replace(
        stripe,
        regions=tuple(
            replace(region, begin=row, end=row + 1, left=left,
                    right=min(left + columns, conv.size[2]))
            for region in stripe.regions
            for row in range(region.begin, region.end)
            for left in range(0, conv.size[2], columns)
        ),
    )  # fmt: skip


def cut(conv: Conv, source: Axes, spans: list[Span]) -> tuple[Stripe, ...]:
    """Return the stripes that compute these rows, or slices, of a layer's result."""
    stripes = []
    for begin, end in spans:
        if conv.size[0] > 1 or source[0] > 1:
            regions = tuple(
                Region(slice=z, begin=0, end=conv_rows(conv)) for z in range(begin, end)
            )
            if conv.size[0] == 1:  # one slice made of several
                regions = (Region(slice=0, begin=begin, end=end),)
            far = [reach(conv, region, source) for region in regions]
            taps = far[0].taps[1] - far[0].taps[0]
            if len(regions) == 1 and conv.dilations[0] > 1 and taps > 1:
                first, step = far[0].slices[0], conv.dilations[0]
                stripes.append(
                    Stripe(
                        regions=regions, source=(0, taps), target=(begin, end),
                        added=(begin, end), apart=tuple(first + i * step for i in range(taps)),
                    )
                )  # fmt: skip
                continue
            read = [
                f.slices if source[0] > 1 else (f.source_begin, f.source_end)  # as `axis_of` says
                for f in far
            ]
            stripes.append(
                Stripe(
                    regions=regions,
                    source=(min(r[0] for r in read), max(r[1] for r in read)),
                    target=(begin, end),
                    added=(begin, end),
                )
            )
            continue
        region = Region(slice=0, begin=begin, end=end)
        only = reach(conv, region, source)
        stripes.append(
            Stripe(
                regions=(region,),
                source=(only.source_begin, only.source_end),
                target=(begin, end),
                added=(only.begin, only.end),
            )
        )
    return tuple(stripes)
