"""``tf2 search``: the overlay that suits networks, a part and a goal."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tf2.cli.console import print_facts, print_json, print_lines, print_table, progress_bar
from tf2.cli.options import Json, checked_output

if TYPE_CHECKING:
    from tf2.flow.searching import SearchReport
    from tf2.search import Point

EPILOG = """\b
Examples:
  tf2 search squeezenet.tf2 --target ecp5-85k -o overlay.json
  tf2 search resnet50.tf2 googlenet.tf2 --target arria10-gx1150 --goal fps -o overlay.json
  tf2 search kws.tf2 --target ecp5-25k --goal area --at-least 100 -o overlay.json
"""


class GoalName(StrEnum):
    """What is best."""

    fps = "fps"
    latency = "latency"
    area = "area"


class LaneName(StrEnum):
    """Kinds of lanes to try."""

    sac = "sac"
    mac = "mac"
    both = "both"


def command(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL.tf2...", help="Compressed models.")
    ],
    target: Annotated[
        str, typer.Option("--target", metavar="PART", help="ecp5-85k, arria10-gx1150, kv260, ...")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.json", help="The chosen overlay."),
    ] = None,
    goal: Annotated[
        GoalName,
        typer.Option("--goal", help="Most frames/s, least time a frame, or least logic."),
    ] = GoalName.fps,
    at_least: Annotated[
        float, typer.Option("--at-least", metavar="FPS", min=0.0, help="For every model.")
    ] = 0.0,
    clock: Annotated[
        float | None, typer.Option("--clock", metavar="MHZ", min=1.0, help="Of the overlay.")
    ] = None,
    ddr_bytes: Annotated[
        int | None,
        typer.Option("--ddr-bytes", metavar="BYTES", min=4, max=128, help="Of memory a cycle."),
    ] = None,
    max_share: Annotated[
        float, typer.Option("--max-share", min=0.01, max=1.0, help="Of each resource of the part.")
    ] = 0.8,
    instances: Annotated[
        int,
        typer.Option("--instances", min=1, help="Overlays side by side that share the memory."),
    ] = 1,
    lane: Annotated[LaneName, typer.Option("--lane", help="Kinds of lanes to try.")] = LaneName.sac,
    compilations: Annotated[
        int, typer.Option("--compilations", min=1, help="Overlays to compile for, about.")
    ] = 30,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE.svg", help="Draw the points.")
    ] = None,
    json: Json = False,
) -> None:
    """Find an overlay: exact cycles, estimated area; Ctrl-C ends with the best so far."""
    from tf2.flow import searching

    for path in (output, chart):
        if path is not None:
            checked_output(path)
    with progress_bar() as progress:
        report = searching.search(
            models,
            target,
            goal=goal.value,
            at_least=at_least,
            clock_mhz=clock,
            ddr_bytes=ddr_bytes,
            max_share=max_share,
            instances=instances,
            lanes=("sac", "mac") if lane is LaneName.both else (lane.value,),
            compilations=compilations,
            progress=progress,
        )
    if output is not None:
        searching.write_overlay(report, output)
    if chart is not None:
        searching.write_chart(report, chart)
    if json:
        print_json(_content(report))
        return
    _show(report, output)


def _show(report: SearchReport, output: Path | None) -> None:
    from tf2.search import text_chart

    result, around = report.result, report.surroundings
    shares = result.chosen.resources.shares(report.part)
    columns = ["overlay", "lanes", "post", "rows", "filters", *shares, "lanes used"]
    columns += [f"{name} frames/s" for name in report.models]
    rows = [[*_row(point, report)] for point in result.front]
    print_table(columns, rows, right=columns[1:])
    print_lines("", *text_chart(result, f"{report.part.name}'s {report.part.lut_kind}s"), "")
    chosen = result.chosen
    facts = {
        "chosen": f"{chosen.config.name}: {chosen.config.lanes:,} lanes"
        + (f", {chosen.instances} instances" if chosen.instances > 1 else "")
        + (f" -> {output}" if output else ""),
        "frame": "; ".join(
            f"{name} {cycles:,} cycles, {ms:.3f} ms"
            for name, cycles, ms in zip(
                report.models, chosen.cycles, chosen.latencies_ms, strict=True
            )
        ),
        "clock": f"{around.clock_mhz:g} MHz ({around.clock_source})",
        "memory": f"{around.ddr_bytes} bytes a cycle ({around.ddr_source})"
        + (f", shared by {chosen.instances}" if chosen.instances > 1 else ""),
        "area": f"estimated, docs/resources.md; {100 * report.share:.0f} % allowed",
        "looked at": f"{result.considered:,} overlays that fit, {len(result.points)} counted",
    }
    if result.interrupted:
        facts["interrupted"] = "the best so far; a longer search may find better"
    print_facts(facts)


def _row(point: Point, report: SearchReport) -> list[str]:
    config = point.config
    shares = point.resources.shares(report.part).values()
    return [
        config.name + (" *" if point is report.result.chosen else ""),
        f"{config.lanes:,}",
        str(config.post_pixels),
        f"{config.feature_rows:,}",
        f"{config.filter_words:,}",
        *(f"{100 * point.instances * share:.0f} %" for share in shares),
        f"{100 * point.utilization:.1f} %",
        *(f"{rate:,.1f}" for rate in point.frames_per_second),
    ]


def _content(report: SearchReport) -> dict[str, Any]:
    def content(point: Point) -> dict[str, Any]:
        return {
            "overlay": point.config,
            "instances": point.instances,
            "lanes": point.config.lanes,
            "resources": {
                "luts": point.resources.luts,
                "flip_flops": point.resources.flip_flops,
                "block_rams": point.resources.block_rams,
                "dsps": point.resources.dsps,
            },
            "shares": point.resources.shares(report.part),
            "cycles": point.cycles,
            "frames_per_second": point.frames_per_second,
            "utilization": point.utilization,
        }

    return {
        "models": report.models,
        "part": report.part.name,
        "clock_mhz": report.surroundings.clock_mhz,
        "clock_source": report.surroundings.clock_source,
        "ddr_bytes": report.surroundings.ddr_bytes,
        "ddr_source": report.surroundings.ddr_source,
        "max_share": report.share,
        "considered": report.result.considered,
        "counted": len(report.result.points),
        "interrupted": report.result.interrupted,
        "chosen": content(report.result.chosen),
        "front": [content(point) for point in report.result.front],
    }
