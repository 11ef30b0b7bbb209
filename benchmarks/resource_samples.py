"""The overlays that the resource model is fitted to, and those that it is checked on."""

from __future__ import annotations

from tf2.arch import NAMED, LaneKind, OverlayConfig


def _sample(
    name: str, shape: tuple[int, int, int], rows: int, words: int, post: int, groups: int, ddr: int,
    lane: LaneKind = "sac",
) -> OverlayConfig:  # fmt: skip
    outputs, pixels, inputs = shape
    return OverlayConfig(
        name=name, outputs=outputs, pixels=pixels, inputs=inputs, lane=lane, feature_rows=rows,
        filter_words=words, post_pixels=post, pool_groups=groups, ddr_bytes=ddr,
    )  # fmt: skip


FITTED: tuple[OverlayConfig, ...] = (
    _sample("fit-2x1x4", (2, 1, 4), 1024, 64, 1, 16, 4),
    NAMED["test-mac"],
    NAMED["test-small"],
    _sample("fit-4x7x8", (4, 7, 8), 2048, 128, 2, 32, 16),
    _sample("fit-4x3x16", (4, 3, 16), 2048, 128, 2, 32, 16),
    _sample("fit-8x3x8", (8, 3, 8), 2048, 128, 2, 32, 16),
    NAMED["arria10-gx1150"],
)
"""Small ones: one in the middle, others that differ from it in a parameter or in all; a large one.

Not every unit of all of them was synthesised for every family.
"""

HELD_BACK: tuple[OverlayConfig, ...] = (
    _sample("check-4x5x8", (4, 5, 8), 1024, 128, 5, 64, 16),
    _sample("check-8x3x16", (8, 3, 16), 4096, 512, 1, 64, 8),
)
"""Never fitted to."""
