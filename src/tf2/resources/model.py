"""What an overlay takes of an FPGA: a sum over its units, fitted to synthesis."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tf2.arch import OverlayConfig
from tf2.platforms import Family, Part
from tf2.resources.memory import (
    Memory,
    block_rams,
    blocks,
    largest,
    memories,
    memory_luts,
)
from tf2.resources.units import TERMS, UNITS, Unit

METRICS = ("luts", "flip_flops", "dsps")
"""What is fitted. LUT4, LUT6 or ALM by family; DSP blocks in halves on Intel's parts."""

BLOCKS_OF_PART: dict[Family, int] = {"ecp5": 1, "xcup": 2, "intel": 1}
"""Blocks counted by `block_rams` in one block of a `Part`."""


@dataclass(frozen=True, kw_only=True)
class UnitResources:
    """One kind of unit; all of that kind together, memories not counted."""

    name: str
    count: int
    luts: float
    flip_flops: float
    dsps: float


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an overlay takes of a family of parts.

    Attributes:
        family: The family.
        luts: LUT4 (ecp5), LUT6 (xcup), ALM (intel).
        flip_flops: Registers.
        block_rams: Blocks as a `Part` counts them.
        dsps: Multiplier blocks.
        units: Where they go; `luts` also holds the memories that LUTs are.
        memories: The memories.
    """

    family: Family
    luts: int
    flip_flops: int
    block_rams: int
    dsps: int
    units: tuple[UnitResources, ...]
    memories: tuple[Memory, ...]

    def shares(self, part: Part) -> dict[str, float]:
        """Return each resource's share of a part, by name."""
        return {
            part.lut_kind: self.luts / part.luts,
            "flip-flops": self.flip_flops / part.flip_flops,
            "block RAM": self.block_rams / part.block_rams,
            part.dsp_kind: self.dsps / part.dsps,
        }

    def too_much(self, part: Part, share: float = 1.0) -> str | None:
        """Return which resource exceeds that share of a part, and by how much; None if none."""
        name, worst = max(self.shares(part).items(), key=lambda item: item[1])
        if worst <= share:
            return None
        text = f"{name}: {100 * worst:.0f} % of {part.name}, {100 * share:.0f} % are allowed"
        if name != "block RAM":
            return text
        memory = largest(self.memories, self.family)
        taken = -(-blocks(memory, self.family) // BLOCKS_OF_PART[self.family])
        return f"{text}; most of it is the {memory.name}, {taken:,} blocks"


def estimate_resources(config: OverlayConfig, family: Family) -> Resources:
    """Return what an overlay takes, without its board's memory controller and host link.

    LUTs, flip-flops and DSPs are fitted to yosys; docs/resources.md gives the error on overlays
    that were not fitted to. Block RAMs are exact for yosys (ecp5, xcup), by geometry for Intel.
    """
    fitted = coefficients()["families"][family]
    found = tuple(_unit(unit, config, fitted[unit.name]) for unit in UNITS if unit.name in fitted)
    held = memories(config)
    in_luts = sum(memory_luts(memory, family) for memory in held)
    return Resources(
        family=family,
        luts=round(sum(unit.luts for unit in found)) + in_luts,
        flip_flops=round(sum(unit.flip_flops for unit in found)),
        block_rams=-(-block_rams(config, family) // BLOCKS_OF_PART[family]),
        dsps=round(sum(unit.dsps for unit in found)),
        units=found,
        memories=held,
    )


@cache
def coefficients() -> dict[str, Any]:
    """Return the fitted factors, by family, unit and metric, with the tool that they come from."""
    file = resources.files("tf2.resources") / "coefficients.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _unit(unit: Unit, config: OverlayConfig, fitted: dict[str, dict[str, float]]) -> UnitResources:
    count = unit.count(config)
    values = {
        metric: count * sum(f * TERMS[term](config) for term, f in fitted[metric].items())
        for metric in METRICS
    }
    return UnitResources(name=unit.name, count=count, **values)
