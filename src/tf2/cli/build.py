"""``tf2 build``: a bitstream for a model, or a project for a vendor's tools, and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import Progress, number, print_facts, print_json, print_table, progress_bar
from tf2.cli.options import Json

if TYPE_CHECKING:
    from tf2.flow import BuildReport, ProjectReport

EPILOG = """\b
Examples:
  tf2 build squeezenet.tf2 --target ecp5-85k
  tf2 build squeezenet.tf2 --board ecpix5-85f -o squeezenet-board
  tf2 build squeezenet.tf2 --target ecp5-45k --grade 8 --clock 80 --seeds 5
  tf2 build --overlay mine.json --target ecp5-25k
  tf2 build squeezenet.tf2 --target kv260 -o squeezenet-kv260

An interrupted build goes on where it was when the same command is given again.
"""


def command(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL.tf2", help="A compressed model.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="PART",
            help="ecp5-25k, ecp5-45k, ecp5-85k; arria10-gx1150, agilex-agf014, kv260, "
            "alveo-u250 (a project).",
        ),
    ] = None,
    board: Annotated[
        str | None, typer.Option("--board", metavar="NAME", help="ulx3s-85f, ecpix5-85f.")
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            "--overlay", metavar="NAME|FILE.json", help="By default the largest that fits."
        ),
    ] = None,
    grade: Annotated[
        int | None, typer.Option("--grade", help="Speed grade; by default the slowest.")
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option("--clock", metavar="MHZ", min=1.0, help="That must be met, or there is none."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Placements to try: 3 for a clock, else 1.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of the result.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a bitstream and say what it takes, how fast it is, and what limits it."""
    from tf2 import flow
    from tf2.platforms import part_of

    folder = output or Path("-".join(filter(None, (model and model.stem, board or target))) or ".")
    if target is not None and board is None and not part_of(target).open_tools:
        if grade is not None or seeds is not None:
            raise typer.BadParameter(f"{target} is placed by its vendor's tools, not here")
        with _watched() as progress:
            project = flow.make_project(
                model, target=target, overlay=overlay, clock_mhz=clock, output=folder,
                progress=progress,
            )  # fmt: skip
        if json:
            print_json({"project": project})
        else:
            show_project(project)
        return
    with _watched() as progress:
        report = flow.build(
            model, target=target, board=board, overlay=overlay, grade=grade, clock_mhz=clock,
            seeds=seeds, output=folder, progress=progress,
        )  # fmt: skip
    if json:
        print_json({"report": report})
    else:
        show(report)


def show(report: BuildReport) -> None:
    """Print what was built."""
    rows = [
        [name, f"{used:,}", f"{of:,}", f"{100 * used / of:.0f} %"]
        for name, (used, of) in report.used.items()
    ]
    print_table(["resource", "used", "of", "share"], rows, right=["used", "of", "share"])
    config = report.overlay
    asked = "" if report.clock_mhz is None else f", {report.clock_mhz:g} MHz asked for"
    tried = ", ".join(f"{seed}: {fmax:.1f}" for seed, fmax in report.seeds.items())
    facts = {
        "bitstream": str(report.bitstream),
        "overlay": f"{config.outputs}x{config.pixels}x{config.inputs} = {report.lanes} lanes "
        f"({config.name}, {report.config_hash:08x})",
        "part": f"{report.part}, grade {report.grade}, {report.package}",
        "clock": f"{report.fmax_mhz:.1f} MHz{asked}; by seed {tried}",
        "rate": f"{number(report.lane_rate, 1)} G shift-accumulates/s (lanes x MHz)",
        "critical path": report.critical_path,
        "tools": ", ".join(report.tools),
    }
    if report.frames_per_second is not None:
        facts["speed"] = (
            f"{report.frames_per_second:,.1f} frames/s: {report.cycles:,} cycles a frame by the "
            f"cycle model, memory of {report.memory}"
        )
    if report.board is None:
        facts["note"] = "no board was named: no pins are assigned, the file is a proof of the fit"
    for note in report.notes:
        facts[f"note {len(facts)}"] = note
    print_facts(facts)


def show_project(project: ProjectReport) -> None:
    """Print what was written for a vendor's tools, and what nobody knows yet."""
    config = project.overlay
    facts = {
        "project": f"{project.folder}: {', '.join(project.files)}",
        "overlay": f"{config.outputs}x{config.pixels}x{config.inputs} = {project.lanes} lanes "
        f"({config.name}, {config.hash:08x})",
        "part": project.part,
        "predicted": ", ".join(f"{name} {100 * s:.0f} %" for name, s in project.shares.items()),
        "checked": f"Verilator: {len(project.lint)} warnings; synthesised by yosys for the family: "
        f"{sum(project.cells.values()):,} cells",
        "not checked": project.not_run,
        "next": "; ".join(project.commands),
    }
    if project.frames_per_second is not None:
        facts["speed"] = (
            f"{project.frames_per_second:,.1f} frames/s, were it to run at {project.clock_mhz:g} "
            f"MHz: {project.cycles:,} cycles a frame by the cycle model"
        )
    print_facts(facts)


@contextmanager
def _watched() -> Iterator[Progress]:
    """Give a function that shows progress: a bar, or a line for each stage where none can be."""
    try:
        with progress_bar() as bar:
            yield bar or _Lines()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            "interrupted: nothing was written; the same command goes on where this one was"
        ) from error


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str, share: float) -> None:
        del share
        stage = text.partition(":")[0]
        if stage != self._last:
            typer.echo(stage, err=True)
        self._last = stage
