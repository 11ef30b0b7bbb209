"""Configurations with names."""

from __future__ import annotations

from tf2.arch.overlay_config import OverlayConfig
from tf2.errors import ConfigError

NAMED: dict[str, OverlayConfig] = {
    config.name: config
    for config in (
        # As many lanes as the original TF2 on an Arria 10 GX1150, whose 2,713 M20K hold the
        # 2.5 MB Feature Buffer and 0.5 MB of Filter Caches: half of ResNet-50's fully connected
        # layer is on chip when its turn comes. The original's two DDR4 channels give 64 bytes a
        # cycle.
        OverlayConfig(
            name="original-3840", outputs=16, pixels=15, inputs=16, feature_rows=10240,
            filter_words=4096, post_pixels=15, pool_groups=64, ddr_bytes=64,
        ),
        # A Lattice ECP5-85F: 208 block RAMs of 18 kbit.
        OverlayConfig(
            name="ecp5-85k", outputs=16, pixels=3, inputs=16, feature_rows=5120,
            filter_words=512, post_pixels=1, pool_groups=64, ddr_bytes=8,
        ),
        # As fast as 80 % of an Arria 10 GX1150 allows: 32 channels each way, so that rows of few
        # positions fill 7 x 7 maps and the multiplexers between positions stay small. Both banks
        # of DDR4 as one port: at 64 bytes a cycle GoogLeNet's first layer waits for its image.
        OverlayConfig(
            name="arria10-gx1150", outputs=32, pixels=9, inputs=32, feature_rows=8192,
            filter_words=4096, post_pixels=3, pool_groups=64, ddr_bytes=128,
        ),
        # Every path of the large ones, in a few seconds of simulation.
        OverlayConfig(
            name="test-small", outputs=4, pixels=3, inputs=8, feature_rows=2048,
            filter_words=128, post_pixels=2, pool_groups=32, ddr_bytes=16,
        ),
        OverlayConfig(
            name="test-mac", outputs=4, pixels=3, inputs=4, lane="mac", feature_rows=2048,
            filter_words=256, post_pixels=1, pool_groups=32, ddr_bytes=8,
        ),
    )
}  # fmt: skip
"""The named configurations, by name."""


def named_config(name: str) -> OverlayConfig:
    """Return the configuration of that name.

    Raises:
        ConfigError: There is none; says which there are.
    """
    if name not in NAMED:
        raise ConfigError(f"there is no configuration {name!r}; there are {', '.join(NAMED)}")
    return NAMED[name]
