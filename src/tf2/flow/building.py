"""From a compressed model to the file for an FPGA: size the overlay, build, say what came out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tf2.arch import OverlayConfig
from tf2.engines.array_engines import overlay_config
from tf2.errors import (
    BuildError,
    ClockMissedError,
    ConfigError,
    PartTooSmallError,
    RoutingStalledError,
)
from tf2.flow.overlays import ModelLike, compile_model, estimate
from tf2.model_file import atomic_write
from tf2.platforms import Board, Part, board_of, part_of
from tf2.sim.simulation import DdrSettings

Progress = Callable[[str, float], None]

SEEDS = 3
"""Placements tried at most for a clock that must be met."""


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """A bitstream and what it is worth.

    Attributes:
        bitstream: The file.
        part: Name of the part.
        board: Name of the board; None: no pins are assigned, the file is for area and timing.
        grade: Speed grade of the part.
        package: Of the part.
        overlay: The configuration that was built.
        config_hash: What the overlay's register of that name reads.
        lanes: Shift-accumulates a cycle.
        used: Resources -> (used, of the part), after packing, everything on the chip counted.
        clock_mhz: What was asked for and is met; None: nothing was asked for.
        fmax_mhz: The fastest clock that the routed design meets.
        lane_rate: lanes x fmax, in 10^9 shift-accumulates a second.
        cycles: Of a frame of the model, by the cycle model; None without a model.
        frames_per_second: At clock_mhz, or at fmax_mhz where no clock was asked for.
        memory: What DDR the frame was reckoned with.
        critical_path: What limits the clock.
        seeds: Every placement tried: seed -> MHz.
        tools: Versions of the tools.
        notes: What did not go as asked: larger overlays that failed, mapping without abc9.
    """

    bitstream: Path
    part: str
    board: str | None
    grade: str
    package: str
    overlay: OverlayConfig
    config_hash: int
    lanes: int
    used: Mapping[str, tuple[int, int]]
    clock_mhz: float | None
    fmax_mhz: float
    lane_rate: float
    cycles: int | None
    frames_per_second: float | None
    memory: str
    critical_path: str
    seeds: Mapping[int, float]
    tools: tuple[str, ...]
    notes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        content = {**asdict(self), "bitstream": self.bitstream.name}
        with atomic_write(path) as file:
            file.write(json.dumps(content, indent=1).encode())


def build(
    model: ModelLike | None,
    *,
    target: str | None = None,
    board: str | None = None,
    overlay: str | OverlayConfig | None = None,
    grade: int | str | None = None,
    clock_mhz: float | None = None,
    seeds: int | None = None,
    output: str | os.PathLike[str],
    progress: Progress | None = None,
) -> BuildReport:
    """Return what was built for an FPGA: a folder of bitstream, overlay.json and report.json.

    A clock that is asked for is met, or there is no file: other seeds are tried, then, where the
    overlay was sized here, smaller ones; likewise where wires find no way. Finished stages are
    kept, so that an interrupted build goes on where it was.

    Args:
        model: A compressed model; None builds `overlay` alone.
        target: Name of a part; by default the board's.
        board: Name of a board, for a complete design with its memory and host link. Without, the
            overlay stands alone in a frame of registers: real area and timing, no pins.
        overlay: Name, JSON file or configuration; None: the largest that fits, for the model.
        grade: Speed grade; None: the board's, else the slowest.
        clock_mhz: That must be met; None: a board's own, else as fast as it gets.
        seeds: Placements to try at most; None: 3 for a clock, 1 without.
        output: The folder; it is made.
        progress: Told of each stage and its share.

    Raises:
        ConfigError: An unknown part, board, grade or overlay, or a board of another part.
        MissingExtraError: Tools are not installed.
        CompileError: The model cannot run on the overlay.
        PartTooSmallError: The overlay does not fit the part.
        ClockMissedError: No placement meets the clock.
        RoutingStalledError: No placement can be routed.
        BuildError: A tool fails.
    """
    from tf2.flow import sizing  # with the data that the resource model is fitted to

    show = progress or (lambda text, share: None)
    place = _place(target, board, grade)
    if Path(output).exists() and not Path(output).is_dir():
        raise ConfigError(f"{output} is a file; the result is a folder (-o)")
    if overlay is None and model is None:
        raise ConfigError("there is nothing to build: give a model, an overlay, or both")
    if overlay is not None:
        configs = [overlay_config(overlay)]
        sizing.refuse_hopeless(configs[0], place.part, place.board)
        if model is not None:
            compile_model(model, configs[0])  # what cannot run there is known before hours of work
    else:
        assert model is not None
        show("size the overlay", 0.0)
        configs = sizing.overlays_for(model, place.part, place.board, progress=show)
    return _first_that_works(
        configs, place, model=model, clock_mhz=clock_mhz, seeds=seeds, output=Path(output),
        progress=show,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the overlay goes."""

    part: Part
    board: Board | None
    grade: str
    package: str


def _place(target: str | None, board: str | None, grade: int | str | None) -> _Place:
    if board is None:
        if target is None:
            raise ConfigError("name the part (--target), or a board that has one (--board)")
        part = part_of(target)
        if not part.open_tools:
            raise ConfigError(f"{part.name} is built by its vendor's tools, not by these")
        return _Place(part=part, board=None, grade=part.speed(grade), package=part.packages[0])
    on = board_of(board)
    if target is not None and part_of(target) is not on.fpga:
        raise ConfigError(f"the board {on.name} has an {on.part}, not an {target}")
    if grade is not None and str(grade) != on.grade:
        raise ConfigError(f"the FPGA of {on.name} is of speed grade {on.grade}, not {grade}")
    return _Place(part=on.fpga, board=on, grade=on.grade, package=on.package)


def _first_that_works(
    configs: Sequence[OverlayConfig],
    place: _Place,
    *,
    model: ModelLike | None,
    clock_mhz: float | None,
    seeds: int | None,
    output: Path,
    progress: Progress,
) -> BuildReport:
    """Return the first overlay's build that fits and meets the clock; the last one's error else."""
    notes: list[str] = []
    for config in configs:
        try:
            return _built(
                config, place, model=model, clock_mhz=clock_mhz, seeds=seeds, output=output,
                notes=notes, progress=progress,
            )  # fmt: skip
        except (PartTooSmallError, ClockMissedError, RoutingStalledError) as error:
            notes.append(f"{_shape(config)} was tried before: {error}")
            if config is configs[-1]:
                raise type(error)("; ".join([str(error), *notes[:-1]])) from error
    raise BuildError(f"no overlay fits {place.part.name}")


def _built(
    config: OverlayConfig,
    place: _Place,
    *,
    model: ModelLike | None,
    clock_mhz: float | None,
    seeds: int | None,
    output: Path,
    notes: Sequence[str],
    progress: Progress,
) -> BuildReport:
    from tf2.synthesis import Target, build_bitstream, find_toolchain  # amaranth is an extra
    from tf2.synthesis.overlay_design import overlay_design

    toolchain = find_toolchain()
    progress(f"elaborate: {_shape(config)}", 0.0)
    design, clock_mhz, soc = overlay_design(
        config, board=None if place.board is None else place.board.name, clock_mhz=clock_mhz,
        progress=progress,
    )  # fmt: skip
    made = build_bitstream(
        toolchain, design, Target(part=place.part, grade=place.grade, package=place.package),
        clock_mhz=clock_mhz, seeds=seeds or (1 if clock_mhz is None else SEEDS), progress=progress,
    )  # fmt: skip
    cycles = ddr = None
    if model is not None:
        progress("count the cycles of a frame", 0.0)
        ddr = _memory(config, place.board)
        cycles = estimate(model, config, ddr=ddr).total.cycles
    name = place.part.name if place.board is None else place.board.name
    fmax = made.layout.fmax_mhz
    report = BuildReport(
        bitstream=output / f"{name}.bit",
        part=place.part.name,
        board=None if place.board is None else place.board.name,
        grade=place.grade,
        package=place.package,
        overlay=config,
        config_hash=config.hash,
        lanes=config.lanes,
        used=made.layout.used,
        clock_mhz=clock_mhz,
        fmax_mhz=fmax,
        lane_rate=config.lanes * fmax / 1000,
        cycles=cycles,
        frames_per_second=None if cycles is None else (clock_mhz or fmax) * 1e6 / cycles,
        memory=_memory_text(config, ddr),
        critical_path=str(made.layout.path or "none"),
        seeds={layout.seed: layout.fmax_mhz for layout in made.tried},
        tools=toolchain.versions,
        notes=(*notes, *(() if made.netlist.abc9 else ("mapped without abc9, which failed",))),
    )
    output.mkdir(parents=True, exist_ok=True)
    with atomic_write(output / "overlay.json") as file:
        file.write(json.dumps(asdict(config), indent=1).encode())
    if soc is not None:
        with atomic_write(output / "soc.json") as file:
            file.write(soc)
    with atomic_write(report.bitstream) as file, made.file.open("rb") as source:
        shutil.copyfileobj(source, file)
    report.save(output / "report.json")
    return report


def _memory(config: OverlayConfig, board: Board | None) -> DdrSettings:
    """Return the memory to reckon with: the board's peak rate, else as fast as the port."""
    if board is None:
        return DdrSettings()
    share = min(1.0, board.memory_bytes_a_cycle / config.ddr_bytes)
    return DdrSettings(beats_per_256=max(1, int(256 * share)))


def _memory_text(config: OverlayConfig, ddr: DdrSettings | None) -> str:
    if ddr is None:
        return "-"
    rate = config.ddr_bytes * ddr.beats_per_256 / 256
    return f"{rate:g} bytes a cycle, {ddr.latency} cycles to the first"


def _shape(config: OverlayConfig) -> str:
    return f"{config.outputs}x{config.pixels}x{config.inputs} ({config.lanes} lanes)"
