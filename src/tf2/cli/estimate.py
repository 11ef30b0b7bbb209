"""``tf2 estimate``: the cycles of a network on an overlay, without hardware tools."""

from __future__ import annotations

from tf2.cli.options import Json, ModelFile
from tf2.cli.overlay_table import Clock, DdrBandwidth, DdrLatency, Overlay, show

EPILOG = """\b
Examples:
  tf2 estimate squeezenet.tf2
  tf2 estimate squeezenet.tf2 --overlay original-3840 --clock 192.5
  tf2 estimate squeezenet.tf2 --overlay mine.json --ddr-bandwidth 0.5 --json
"""


def command(
    model: ModelFile,
    overlay: Overlay = "ecp5-85k",
    clock: Clock = 100.0,
    ddr_latency: DdrLatency = 40,
    ddr_bandwidth: DdrBandwidth = 1.0,
    json: Json = False,
) -> None:
    """Print what each layer of a frame takes: cycles, stalls by cause, DDR, frames a second."""
    from tf2 import flow
    from tf2.sim.simulation import DdrSettings

    ddr = DdrSettings(latency=ddr_latency, beats_per_256=max(1, round(256 * ddr_bandwidth)))
    report = flow.estimate(model, flow.overlay_config(overlay), ddr=ddr)
    show(report, title="estimate", clock=clock, as_json=json)
