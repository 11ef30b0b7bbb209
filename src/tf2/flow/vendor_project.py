"""From a compressed model to a project for a vendor's tools: what was checked, what was not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tf2.arch import OverlayConfig
from tf2.engines.array_engines import overlay_config
from tf2.errors import ConfigError
from tf2.flow.overlays import ModelLike, compile_model, estimate
from tf2.model_file import atomic_write
from tf2.platforms import part_of

Progress = Callable[[str, float], None]

CLOCK_MHZ = {"intel": 192.5, "xcup": 200.0}
"""Assumed where none is asked for: the original's on Arria 10; a cautious one on UltraScale+."""


@dataclass(frozen=True, kw_only=True)
class ProjectReport:
    """A project for a vendor's tools.

    Attributes:
        folder: Where it is.
        files: What is in it.
        commands: To run there, with the vendor's tools.
        part: Name of the part.
        overlay: The configuration.
        lanes: Shift-accumulates a cycle.
        clock_mhz: Of the constraints: asked for or assumed, not measured.
        shares: Predicted share of each resource of the part, by the resource model.
        cells: By type, as yosys maps the overlay for the family.
        lint: Verilator's warnings.
        cycles: Of a frame of the model, by the cycle model; None without a model.
        frames_per_second: At clock_mhz.
        not_run: What was not run here, and so is not known.
    """

    folder: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]
    part: str
    overlay: OverlayConfig
    lanes: int
    clock_mhz: float
    shares: Mapping[str, float]
    cells: Mapping[str, int]
    lint: tuple[str, ...]
    cycles: int | None
    frames_per_second: float | None
    not_run: str


def make_project(
    model: ModelLike | None,
    *,
    target: str,
    overlay: str | OverlayConfig | None = None,
    clock_mhz: float | None = None,
    output: str | os.PathLike[str],
    progress: Progress | None = None,
) -> ProjectReport:
    """Return what was written for a part that a vendor's tools build, linted and synthesised.

    Args:
        model: A compressed model; None takes the overlay alone.
        target: Name of a part of Intel or AMD.
        overlay: Name, JSON file or configuration; None: the largest that fits, for the model.
        clock_mhz: Of the constraints; None: `CLOCK_MHZ`.
        output: The folder; it is made.
        progress: Told of each stage.

    Raises:
        ConfigError: An unknown part or overlay, or one that open tools build.
        CompileError: The model cannot run on the overlay.
        BuildError: The Verilog does not pass a check.
        MissingExtraError: Tools are not installed.
    """
    from tf2.projects import generate, lint, synthesise  # Amaranth is an extra
    from tf2.resources import estimate_resources

    show = progress or (lambda text, share: None)
    part = part_of(target)
    if part.open_tools:
        raise ConfigError(f"{part.name} needs no vendor's tools: `flow.build` makes its bitstream")
    config = (
        overlay_config(overlay) if overlay is not None else _largest(model, target, progress=show)
    )
    programs = [] if model is None else compile_model(model, config).arrays
    clock = clock_mhz or CLOCK_MHZ[part.family]
    project = generate(
        part, config, programs[0].program if programs else None, Path(output), clock_mhz=clock,
        progress=show,
    )  # fmt: skip
    show("lint", 0.0)
    warnings = lint(project)
    show("synthesise", 0.0)
    cells = synthesise(project, part, progress=show)
    cycles = None if model is None else estimate(model, config).total.cycles
    report = ProjectReport(
        folder=project.folder,
        files=(*project.files, "report.json"),
        commands=project.commands,
        part=part.name,
        overlay=config,
        lanes=config.lanes,
        clock_mhz=clock,
        shares=estimate_resources(config, part.family).shares(part),
        cells=cells,
        lint=tuple(warnings),
        cycles=cycles,
        frames_per_second=None if cycles is None else clock * 1e6 / cycles,
        not_run=project.not_run,
    )
    content = {**asdict(report), "folder": str(report.folder)}
    with atomic_write(project.folder / "report.json") as file:
        file.write(json.dumps(content, indent=1).encode())
    return report


def _largest(model: ModelLike | None, target: str, *, progress: Progress) -> OverlayConfig:
    if model is None:
        raise ConfigError("there is nothing to build: give a model, an overlay, or both")
    from tf2.flow.sizing import overlays_for

    return overlays_for(model, part_of(target), progress=progress)[0]
