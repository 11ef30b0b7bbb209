"""The overlays that are worth a look on a part: every shape, with the most memory that fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tf2.arch import LaneKind, OverlayConfig
from tf2.errors import ConfigError
from tf2.platforms import Part
from tf2.resources import Resources, block_rams, estimate_resources
from tf2.resources.model import BLOCKS_OF_PART
from tf2.search.workload import Workload

POWERS = (1, 2, 4, 8, 16, 32, 64)
PIXELS = (*range(1, 32, 2),)
"""Odd, so that layers of stride 2 run at full rate."""

POST_BEATS = (1, 2, 3, 4, 6, 8, 16)
FILTER_WORDS = (4096, 2048, 1024, 512, 256)
ROWS_STEP = 1024
"""Rows of the Feature Buffer come in steps: the depth of a block RAM at its widest."""

MOST_ROWS = 1 << 16
SMALLEST_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an overlay may take.

    Attributes:
        part: The FPGA.
        share: Of each of its resources, 0 to 1.
        instances: Overlays beside each other on it, each with its share of the memory.
        ddr_bytes: Of the memory, a cycle, for all of them.
        lanes: Kinds of lanes to try.
    """

    part: Part
    share: float
    instances: int
    ddr_bytes: int
    lanes: tuple[LaneKind, ...]

    def too_much(self, config: OverlayConfig) -> str | None:
        """Return what of the part an overlay exceeds; None where it fits."""
        return self.resources(config).too_much(self.part, self.share / self.instances)

    def resources(self, config: OverlayConfig) -> Resources:
        """Return what one instance takes."""
        return estimate_resources(config, self.part.family)


def shapes(budget: Budget, workloads: Sequence[Workload]) -> Iterator[OverlayConfig]:
    """Yield every shape that fits, with the largest memories that fit beside it."""
    for lane in budget.lanes:
        for outputs in POWERS:
            for inputs in (c for c in POWERS if c >= max(4, outputs)):
                for pixels in PIXELS:
                    smallest = _smallest(outputs, pixels, inputs, lane, budget, workloads)
                    if budget.too_much(smallest):
                        break  # more pixels take more
                    yield from _with_post(smallest, budget)


def _smallest(
    outputs: int, pixels: int, inputs: int, lane: LaneKind, budget: Budget,
    workloads: Sequence[Workload],
) -> OverlayConfig:  # fmt: skip
    """Return a shape with the smallest memories and the narrowest post-processing."""
    groups = max(-(-work.pooled_width // pixels) + 2 for work in workloads)
    return OverlayConfig(
        name="smallest", outputs=outputs, pixels=pixels, inputs=inputs, lane=lane,
        feature_rows=SMALLEST_ROWS, filter_words=FILTER_WORDS[-1], post_pixels=1,
        pool_groups=max(16, 1 << (groups - 1).bit_length()),
        ddr_bytes=min(128, max(4, budget.ddr_bytes)),
    )  # fmt: skip


def _with_post(smallest: OverlayConfig, budget: Budget) -> Iterator[OverlayConfig]:
    seen: set[int] = set()
    for beats in POST_BEATS:
        post = -(-smallest.pixels // beats)
        if post in seen:
            continue
        seen.add(post)
        config = with_memories(replace(smallest, post_pixels=post), budget)
        if config is not None:
            yield named(config)


def with_memories(config: OverlayConfig, budget: Budget) -> OverlayConfig | None:
    """Return a shape with the largest memories that fit: filters up to a third, the rest rows.

    None where not even the smallest fit.
    """
    part = budget.part
    allowed = part.block_rams * budget.share / budget.instances

    def blocks(trial: OverlayConfig) -> float:
        return block_rams(trial, part.family) / BLOCKS_OF_PART[part.family]

    for words in FILTER_WORDS:
        trial = replace(config, filter_words=words)
        if words == FILTER_WORDS[-1] or (
            blocks(trial) <= allowed and blocks(trial) - blocks(config) < allowed / 3
        ):
            config = trial
            break
    low, high = 1, MOST_ROWS // ROWS_STEP
    while low < high:  # the most rows that fit
        middle = (low + high + 1) // 2
        fits = blocks(replace(config, feature_rows=_rows(middle))) <= allowed
        low, high = (middle, high) if fits else (low, middle - 1)
    config = replace(config, feature_rows=_rows(low))
    return None if budget.too_much(config) else config


def _rows(steps: int) -> int:
    return min(MOST_ROWS, steps * ROWS_STEP)


def named(config: OverlayConfig) -> OverlayConfig:
    """Return it with a name that says its shape."""
    kind = "" if config.lane == "sac" else f"-{config.lane}"
    return replace(config, name=f"{config.outputs}x{config.pixels}x{config.inputs}{kind}")


def variants(config: OverlayConfig) -> Iterator[OverlayConfig]:
    """Yield configurations near one: other memories, post-processing, a narrower port."""
    changes: list[dict[str, int]] = [
        {"feature_rows": max(SMALLEST_ROWS, config.feature_rows // 2)},
        {"feature_rows": max(SMALLEST_ROWS, config.feature_rows * 3 // 4)},
        {"filter_words": config.filter_words * 2, "feature_rows": config.feature_rows * 3 // 4},
        {"filter_words": config.filter_words // 2},
        {"post_pixels": max(1, config.post_pixels // 2)},
        {"post_pixels": min(config.pixels, config.post_pixels * 2)},
        {"ddr_bytes": config.ddr_bytes // 2},
    ]
    for change in changes:
        try:
            changed = named(replace(config, **change))
        except ConfigError:
            continue
        if changed != config:
            yield changed
