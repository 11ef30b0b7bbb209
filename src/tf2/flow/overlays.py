"""A network on an overlay: what it will take (estimate) and what it took (profile)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tf2.arch import OverlayConfig
from tf2.compiler import ArraySegment, CompiledModel, compile_graph
from tf2.engines.array_engines import overlay_config
from tf2.engines.target import target_of
from tf2.errors import DoesNotFitError, EngineError, ProgramError
from tf2.flow.lane_losses import LaneCycles, lane_cycles
from tf2.isa import Layer, Load, Store
from tf2.isa.timing import issue_cycles
from tf2.isa.verify import verify
from tf2.model_file import CompressedModel
from tf2.sim.cycle_model import estimate_run
from tf2.sim.device import Counters, RunReport
from tf2.sim.simulation import DdrSettings

Progress = Callable[[str, float], None]
ModelLike = str | os.PathLike[str] | CompressedModel


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """One layer of the network; all its instructions together.

    Attributes:
        name: Of the layer.
        macs: Useful multiply-accumulates.
        spent: What the overlay counted from the end of the layer before.
        utilization: macs / (cycles x lanes).
        lanes: Where the lanes went.
    """

    name: str
    macs: int
    spent: Counters
    utilization: float
    lanes: LaneCycles


@dataclass(frozen=True, kw_only=True)
class OverlayReport:
    """A frame on an overlay.

    Attributes:
        config: The overlay.
        layers: In the order in which they run; host segments are not on the overlay.
        total: Of the frame, all programs.
        macs: Useful multiply-accumulates on the array.
        filter_bytes: Of the filter streams.
        feature_bytes: Moved between DDR and the Feature Buffer, the inputs and outputs of programs
            included.
        spilled: Maps that do not fit on chip and go through DDR.
        on_host: Nodes that the host computes, and why.
        programs: Array programs a frame; more than one where the host computes in between.
    """

    config: OverlayConfig
    layers: tuple[LayerCycles, ...]
    total: Counters
    macs: int
    filter_bytes: int
    feature_bytes: int
    spilled: tuple[str, ...]
    on_host: tuple[tuple[str, str, str], ...]
    programs: int

    @property
    def utilization(self) -> float:
        """Share of the lanes' cycles that are useful."""
        return self.macs / max(1, self.total.cycles * self.config.lanes)

    @property
    def lanes(self) -> LaneCycles:
        """Where the lanes went; what no layer spent was waiting, for the last store."""
        spent = LaneCycles()
        for layer in self.layers:
            spent = spent.plus(layer.lanes)
        rest = self.total.cycles * self.config.lanes - spent.total
        return spent.plus(LaneCycles(waiting=rest))

    def frames_per_second(self, clock_mhz: float) -> float:
        """Return frames a second of the overlay alone, at a clock."""
        return clock_mhz * 1e6 / max(1, self.total.cycles)


def compile_model(model: ModelLike, overlay: str | OverlayConfig) -> CompiledModel:
    """Return a compressed model compiled for an overlay.

    Raises:
        EngineError: It is not compressed.
        CompileError: It does not fit, or a layer cannot run there.
    """
    target = target_of(model, None)
    if target.compressed is None:
        raise EngineError(f"{target.name} is not compressed: make a .tf2 file by tf2 compress")
    config = overlay_config(overlay)
    compiled = compile_graph(target.compressed.graph, config)
    for segment in compiled.arrays:  # limits that the compiler does not look at: line buffers
        try:
            verify(segment.program)
        except ProgramError as error:
            raise DoesNotFitError(f"{error}; use a larger overlay than {config.name!r}") from error
    return compiled


def estimate(
    model: ModelLike | CompiledModel,
    overlay: str | OverlayConfig = "ecp5-85k",
    *,
    ddr: DdrSettings | None = None,
) -> OverlayReport:
    """Return what a frame takes, by the cycle model: no hardware tools are needed.

    Args:
        model: A ``.tf2`` file, or compiled already.
        overlay: A name of `tf2.arch.NAMED`, a JSON file, or a configuration.
        ddr: The memory behind it; by default as fast as its port.

    Raises:
        CompileError: The network does not fit.
    """
    compiled = model if isinstance(model, CompiledModel) else compile_model(model, overlay)
    settings = ddr or DdrSettings()
    runs = [estimate_run(segment.program, settings) for segment in compiled.arrays]
    return overlay_report(compiled, runs)


def profile(
    model: ModelLike,
    overlay: str | OverlayConfig = "ecp5-85k",
    *,
    ddr: DdrSettings | None = None,
    seed: int = 0,
    trace: tuple[Path, int, int] | None = None,
    progress: Progress | None = None,
) -> OverlayReport:
    """Return what a frame took in the simulated RTL, by the overlay's own counters.

    Cycles do not depend on values, so the frame is random unless a session is used.

    Args:
        model: A ``.tf2`` file.
        overlay: As `estimate`.
        ddr: As `estimate`.
        seed: Of the frame.
        trace: A VCD file, and the first and last cycle that it shows (of the first program).
        progress: Told of builds and simulated cycles.

    Raises:
        MissingExtraError: The extra "hardware" is not installed.
        DeviceError: The simulation cannot be built, or fails.
    """
    from tf2.sim.rtl import RtlOverlay  # Amaranth and Verilator are an extra

    compiled = compile_model(model, overlay)
    device = RtlOverlay(compiled.config, ddr=ddr, trace=trace is not None, progress=progress)
    if trace is not None:
        device.trace(*trace)
    rng = np.random.default_rng(seed)
    runs: list[RunReport] = []
    for segment in compiled.arrays:
        program = segment.program
        arena = program.arena()
        for port in program.inputs:
            port.write(rng.integers(-128, 128, port.shape).astype(np.int8), arena, program.config)
        runs.append(device.run(program, arena))
    return overlay_report(compiled, runs)


def overlay_report(compiled: CompiledModel, runs: Iterable[RunReport]) -> OverlayReport:
    """Return the runs of a frame's programs as one report."""
    layers: list[LayerCycles] = []
    total = Counters()
    for segment, run in zip(compiled.arrays, runs, strict=True):
        layers += _layers(segment, run, compiled.config)
        total = total.plus(run.total or Counters())
    programs = [segment.program for segment in compiled.arrays]
    return OverlayReport(
        config=compiled.config,
        layers=tuple(layers),
        total=total,
        macs=sum(layer.macs for layer in layers),
        filter_bytes=sum(len(program.filters) for program in programs),
        feature_bytes=sum(
            i.rows * compiled.config.row_beats * compiled.config.ddr_bytes
            for program in programs
            for i in program.instructions
            if isinstance(i, Load | Store)
        ),
        spilled=tuple(name for segment in compiled.arrays for name in segment.spilled),
        on_host=tuple((n.node, n.kind, n.reason) for n in compiled.nodes if n.where == "host"),
        programs=len(programs),
    )


def _layers(segment: ArraySegment, run: RunReport, config: OverlayConfig) -> list[LayerCycles]:
    """Return the layers of one program, stripes of a layer joined."""
    instructions = [i for i in segment.program.instructions if isinstance(i, Layer)]
    parts: dict[str, list[Layer]] = {}
    spent: dict[str, Counters] = {}
    for instruction, record in zip(instructions, run.layers, strict=True):
        parts.setdefault(record.name, []).append(instruction)
        spent[record.name] = spent.get(record.name, Counters()).plus(record.spent)
    records = []
    for name, layers in parts.items():
        issued = sum(issue_cycles(layer, config) for layer in layers)
        lanes = lane_cycles(layers, spent[name], config, issued=issued)
        records.append(
            LayerCycles(
                name=name,
                macs=lanes.used,
                spent=spent[name],
                utilization=lanes.used / max(1, lanes.total),
                lanes=lanes,
            )
        )
    return records
