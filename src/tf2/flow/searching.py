"""From networks, a part and a goal to the parameters of an overlay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tf2.arch import LaneKind
from tf2.engines.target import target_of
from tf2.errors import ConfigError, EngineError
from tf2.ir import Graph
from tf2.model_file import CompressedModel
from tf2.model_file.atomic import atomic_write
from tf2.platforms import Part, part_of
from tf2.search import (
    Budget,
    Goal,
    SearchResult,
    Surroundings,
    Wish,
    explore,
    surroundings,
    svg_chart,
)

Progress = Callable[[str, float], None]
ModelLike = str | os.PathLike[str] | CompressedModel | Graph


@dataclass(frozen=True, kw_only=True)
class SearchReport:
    """What `search` found, and what it reckoned with.

    Attributes:
        models: Names of the networks, in the order of `Point.cycles`.
        part: The FPGA.
        share: Of its resources that was allowed.
        surroundings: Clock and memory.
        result: The points.
    """

    models: tuple[str, ...]
    part: Part
    share: float
    surroundings: Surroundings
    result: SearchResult


def search(
    models: Sequence[ModelLike],
    target: str,
    *,
    goal: Goal = "fps",
    at_least: float = 0.0,
    clock_mhz: float | None = None,
    ddr_bytes: int | None = None,
    max_share: float = 0.8,
    instances: int = 1,
    lanes: Sequence[LaneKind] = ("sac",),
    compilations: int = 30,
    progress: Progress | None = None,
) -> SearchReport:
    """Return the best overlay for networks on a part.

    Cycles are exact (`tf2.sim.cycle_model`); what an overlay takes is estimated
    (`tf2.resources`, docs/resources.md). Ctrl-C ends the search with the best so far.

    Args:
        models: Compressed networks.
        target: Name of a part.
        goal: "fps", "latency" or "area".
        at_least: Frames a second that every network must reach.
        clock_mhz: Of the overlay; by default what `search.surroundings` says of the part.
        ddr_bytes: Of the memory a cycle; a power of two; by default as for the clock.
        max_share: Of every resource of the part, 0 to 1.
        instances: Overlays beside each other, that work on different frames and share the memory.
        lanes: Kinds to try.
        compilations: Overlays to compile for, about.
        progress: Told the stage and its share.

    Raises:
        ConfigError: No such part; nothing fits it; the goal is out of reach (names the nearest).
        DoesNotFitError: A network runs on no overlay that fits; names the memory.
        EngineError: A model is not compressed.
    """
    part = part_of(target)
    if not 0 < max_share <= 1:
        raise ConfigError(f"a share of {max_share:g}: it must be more than 0, and 1 at most")
    if instances < 1:
        raise ConfigError(f"{instances} overlays: there must be one at least")
    around = surroundings(part)
    if clock_mhz is not None:
        around = replace(around, clock_mhz=clock_mhz, clock_source="given")
    if ddr_bytes is not None:
        around = replace(around, ddr_bytes=ddr_bytes, ddr_source="given")
    budget = Budget(
        part=part, share=max_share, instances=instances, ddr_bytes=around.ddr_bytes,
        lanes=tuple(lanes),
    )  # fmt: skip
    wish = Wish(goal=goal, at_least=at_least, compilations=compilations)
    named = [_graph(model) for model in models]
    result = explore([graph for _, graph in named], budget, around, wish, progress)
    return SearchReport(
        models=tuple(name for name, _ in named), part=part, share=max_share, surroundings=around,
        result=result,
    )  # fmt: skip


def write_overlay(report: SearchReport, path: Path) -> None:
    """Write the parameters of the chosen overlay, for `--overlay`."""
    with atomic_write(path) as file:
        file.write((json.dumps(asdict(report.result.chosen.config), indent=2) + "\n").encode())


def write_chart(report: SearchReport, path: Path) -> None:
    """Write the points as an SVG drawing."""
    title = f"{', '.join(report.models)} on {report.part.name}"
    with atomic_write(path) as file:
        file.write(svg_chart(report.result, title, f"its {report.part.lut_kind}s").encode())


def _graph(model: ModelLike) -> tuple[str, Graph]:
    target = target_of(model, None)
    graph = target.graph if target.compressed is None else target.compressed.graph
    if graph is None:
        raise EngineError(f"{target.name} is not compressed: make a .tf2 file by tf2 compress")
    return (Path(target.name).stem if target.compressed else target.name), graph
