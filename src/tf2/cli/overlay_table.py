"""How `tf2 estimate` and `tf2 profile` show a frame on an overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import print_facts, print_json, print_lines, print_table, size

if TYPE_CHECKING:
    from tf2.flow import OverlayReport

Overlay = Annotated[
    str,
    typer.Option(
        "--overlay", metavar="NAME|FILE.json", help="ecp5-85k, original-3840, ... or parameters."
    ),
]
Clock = Annotated[float, typer.Option("--clock", metavar="MHZ", min=1.0, help="For frames/s.")]
DdrLatency = Annotated[
    int, typer.Option("--ddr-latency", metavar="CYCLES", min=1, help="From request to first beat.")
]
DdrBandwidth = Annotated[
    float,
    typer.Option("--ddr-bandwidth", metavar="SHARE", min=0.01, max=1.0, help="Of the port's rate."),
]

_CAUSES = {
    "used": "used",
    "channels": "unfilled channels",
    "positions": "unfilled positions",
    "rate": "slower behind the array",
    "borders": "layer borders",
    "filters": "waiting for filters",
    "waiting": "waiting for loads and stores",
}


def show(report: OverlayReport, *, title: str, clock: float, as_json: bool) -> None:
    """Print a table of the layers and the frame's figures, or one JSON object."""
    if as_json:
        print_json(_content(report, clock))
        return
    columns = ["layer", "MACs", "cycles", "used", "issuing", "filter stall", "waiting", "DDR"]
    beat = report.config.ddr_bytes
    rows = [
        [
            layer.name,
            f"{layer.macs:,}",
            f"{layer.spent.cycles:,}",
            f"{100 * layer.utilization:.1f} %",
            f"{layer.spent.busy:,}",
            f"{layer.spent.stall_filter:,}",
            f"{layer.spent.waiting:,}",
            size((layer.spent.ddr_read_beats + layer.spent.ddr_write_beats) * beat),
        ]
        for layer in report.layers
    ]
    print_table(columns, rows, right=columns[1:])
    print_lines("")
    print_facts(_facts(report, title, clock))


def _facts(report: OverlayReport, title: str, clock: float) -> dict[str, str]:
    config, total = report.config, report.total
    facts = {
        title: f"{config.name}: {config.lanes:,} {config.lane} lanes ({config.outputs} outputs x "
        f"{config.pixels} pixels x {config.inputs} inputs)",
        "frame": f"{total.cycles:,} cycles, {report.macs / 1e6:.1f} M useful MACs, "
        f"{100 * report.utilization:.1f} % of the lanes",
        "lanes": ", ".join(
            f"{_CAUSES[cause]} {100 * share:.1f} %"
            for cause, share in report.lanes.shares().items()
            if share >= 0.0005
        ),
        "speed": f"{report.frames_per_second(clock):,.1f} frames/s at {clock:g} MHz",
        "DDR": f"filters {size(report.filter_bytes)}, features {size(report.feature_bytes)} (the "
        "network's own inputs and outputs included)",
    }
    if report.spilled:
        facts["spilled"] = f"{len(report.spilled)} maps go through DDR: " + ", ".join(
            report.spilled
        )
    if report.on_host:
        facts["on the host"] = "; ".join(f"{n} ({kind}): {why}" for n, kind, why in report.on_host)
    return facts


def _content(report: OverlayReport, clock: float) -> dict[str, object]:
    return {
        "overlay": report.config,
        "total": report.total,
        "macs": report.macs,
        "utilization": report.utilization,
        "lanes": report.lanes.shares(),
        "clock_mhz": clock,
        "frames_per_second": report.frames_per_second(clock),
        "filter_bytes": report.filter_bytes,
        "feature_bytes": report.feature_bytes,
        "spilled": report.spilled,
        "on_host": report.on_host,
        "layers": report.layers,
    }
