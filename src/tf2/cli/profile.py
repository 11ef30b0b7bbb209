"""``tf2 profile``: a frame in the simulated RTL, by the overlay's own counters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tf2.cli.console import print_lines, progress_bar
from tf2.cli.options import Json, ModelFile, Seed, checked_output
from tf2.cli.overlay_table import Clock, DdrBandwidth, DdrLatency, Overlay, show

EPILOG = """\b
Examples:
  tf2 profile squeezenet.tf2
  tf2 profile squeezenet.tf2 --overlay original-3840 --clock 192.5 --json
  tf2 profile squeezenet.tf2 --trace wave.vcd --window 1000:3000
"""


def command(
    model: ModelFile,
    overlay: Overlay = "ecp5-85k",
    clock: Clock = 100.0,
    ddr_latency: DdrLatency = 40,
    ddr_bandwidth: DdrBandwidth = 1.0,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="OUT.vcd", help="Write a waveform.")
    ] = None,
    window: Annotated[
        str, typer.Option("--window", metavar="FIRST:LAST", help="Cycles that it shows.")
    ] = "0:2000",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Simulate a frame of random values in the RTL and print what each layer took.

    Cycles do not depend on values. The first use of an overlay builds its simulation.
    """
    first, last = _cycles(window)
    target = None if trace is None else (checked_output(trace), first, last)
    from tf2 import flow
    from tf2.sim.simulation import DdrSettings

    ddr = DdrSettings(latency=ddr_latency, beats_per_256=max(1, round(256 * ddr_bandwidth)))
    with progress_bar() as progress:
        report = flow.profile(
            model,
            flow.overlay_config(overlay),
            ddr=ddr,
            seed=seed,
            trace=target,
            progress=progress,
        )
    show(report, title="profile", clock=clock, as_json=json)
    if trace is not None and not json:
        print_lines(f"wrote {trace}")


def _cycles(window: str) -> tuple[int, int]:
    first, colon, last = window.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise typer.BadParameter(
            f"{window!r} is no window: write FIRST:LAST, as 1000:3000", param_hint="--window"
        )
    return int(first), int(last)
