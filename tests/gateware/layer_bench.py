"""What tests of the units around the Feature Buffer share: configurations, layers and memories."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig, named_config
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.isa import Layer
from tf2.isa.encoding import layer_fields, layer_values, pack_fields

CONFIGS = {
    "small": replace(named_config("test-small"), feature_rows=200),
    "mac": replace(named_config("test-mac"), feature_rows=128),
    "one pixel": OverlayConfig(
        outputs=2, pixels=1, inputs=4, feature_rows=700, filter_words=64, post_pixels=1,
        pool_groups=32, ddr_bytes=16,
    ),
    "five pixels": OverlayConfig(
        outputs=2, pixels=5, inputs=2, feature_rows=150, filter_words=32, post_pixels=5,
        pool_groups=32, ddr_bytes=8,
    ),
}  # fmt: skip
"""P = 3, 3, 1 and 5; N < C and N = C; groups within a cycle and over several."""


def layer_bits(layer: Layer, config: OverlayConfig) -> int:
    """Return a layer as the Scheduler is told it."""
    return pack_fields(layer_fields(config), layer_values(layer, config))


def issues(layer: Layer) -> list[tuple[int, int, tuple[int, int, int, int]]]:
    """Return (block, group, (z, y, x, word)) of every issue, in order."""
    kernel = layer.kernel
    taps = product(range(kernel.z), range(kernel.y), range(kernel.x), range(kernel.words))
    return list(product(range(layer.out_groups), range(layer.groups), list(taps)))


def fill(ctx: Any, buffer: FeatureBuffer, features: NDArray[np.int8]) -> None:
    """Put features (rows, P, C) into a Feature Buffer."""
    for row, bank in np.ndindex(features.shape[:2]):
        ctx.set(buffer.word(bank, row), int.from_bytes(features[row, bank].tobytes(), "little"))


def content(ctx: Any, buffer: FeatureBuffer, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Return what a Feature Buffer holds, (rows, P, C)."""
    features = np.empty(shape, dtype=np.int8)
    for row, bank in np.ndindex(shape[:2]):
        word = ctx.get(buffer.word(bank, row))
        features[row, bank] = np.frombuffer(word.to_bytes(shape[2], "little"), dtype=np.int8)
    return features
