"""Whole frames on an overlay: cycles as counted by the RTL, exactness, speed of the simulation.

    python benchmarks/overlay_frames.py --networks squeezenet,resnet50 --overlay original-3840

The networks are the onnx package's, with realistic random weights (`light_models`; "nearest"
rounding: cycles do not depend on values). A frame is a random photograph. "rtl" runs the overlay's
Verilog, compares every output of every program with the `int` engine byte by byte, and the cycle
model's figures with the overlay's counters; "estimate" runs the cycle model only, in seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import light_models
from tf2 import flow
from tf2.compiler import CompiledModel, CompiledRunner, compile_graph
from tf2.compression import compress
from tf2.data import PRESETS
from tf2.engines import Session
from tf2.ir import Graph
from tf2.model_file import CompressionSettings
from tf2.sim.device import RunReport

CALIBRATION = 4
"""Images; cycles do not depend on how well the scales fit."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One network's frame.

    Attributes:
        network: Its name.
        macs: Useful multiply-accumulates on the array.
        cycles: Of the whole frame, from the RTL or the cycle model.
        utilization: macs / (cycles x lanes).
        lanes: Where the lanes went, as shares (`flow.lane_losses`).
        filter_bytes: Read a frame.
        feature_bytes: Moved to and from DDR, the network's input and output included.
        spilled: Maps that go through DDR.
        on_host: Operators that the host computes.
        compile_s: From integer graph to program.
        build_s: Of the simulation; 0 where it was there already.
        simulate_s: Of the frame in the RTL.
        bytes_compared: Of all outputs of all programs.
        bytes_differing: From the `int` engine's.
        estimated_cycles: By the cycle model.
    """

    network: str
    macs: int
    cycles: int
    utilization: float
    lanes: dict[str, float]
    filter_bytes: int
    feature_bytes: int
    spilled: int
    on_host: int
    compile_s: float
    build_s: float = 0.0
    simulate_s: float = 0.0
    bytes_compared: int = 0
    bytes_differing: int = 0
    estimated_cycles: int


def integer_graph(name: str) -> Graph:
    """Return a light model as an integer graph."""
    graph = light_models.light_model(name)
    feeds = [{graph.inputs[0]: light_models.inputs(name, CALIBRATION, np.random.default_rng(1))}]
    affine = PRESETS[light_models.PREPROCESSING[name]].affine()
    return compress(graph, feeds, CompressionSettings(method="nearest"), pixel_affine=affine).graph


def frame(name: str, overlay: str, *, rtl: bool, tell) -> Frame:
    """Return the figures of one network."""
    graph = integer_graph(name)
    start = time.perf_counter()
    compiled = compile_graph(graph, flow.overlay_config(overlay))
    compile_s = time.perf_counter() - start
    estimated = flow.estimate(compiled)
    facts = {"compile_s": compile_s, "estimated_cycles": estimated.total.cycles}
    if not rtl:
        return _frame(name, estimated, **facts)
    report, more = _simulated(name, graph, compiled, tell)
    return _frame(name, report, **facts, **more)


def _simulated(name: str, graph: Graph, compiled: CompiledModel, tell):
    from tf2.sim.rtl import RtlOverlay

    start = time.perf_counter()
    device = RtlOverlay(compiled.config, progress=tell)
    build_s = time.perf_counter() - start
    runs: list[RunReport] = []
    feeds = {graph.inputs[0]: light_models.inputs(name, 1, np.random.default_rng(2))}
    outputs = [value for segment in compiled.arrays for value in segment.outputs]
    simulate_s = 0.0

    def run_program(segment, arena) -> None:
        nonlocal simulate_s
        start = time.perf_counter()
        runs.append(device.run(segment.program, arena))
        simulate_s += time.perf_counter() - start

    found = CompiledRunner(compiled, run_program)(feeds, outputs)
    expected = Session(graph, "int").values(feeds, outputs)
    differing = sum(
        int(np.count_nonzero(_octets(found[v]) != _octets(expected[v]))) for v in outputs
    )
    return flow.overlay_report(compiled, runs), {
        "build_s": build_s,
        "simulate_s": simulate_s,
        "bytes_compared": sum(expected[value].nbytes for value in outputs),
        "bytes_differing": differing,
    }


def _octets(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _frame(name: str, report: flow.OverlayReport, **facts) -> Frame:
    total = report.total
    return Frame(
        network=name,
        macs=report.macs,
        cycles=total.cycles,
        utilization=round(report.utilization, 4),
        lanes={cause: round(share, 4) for cause, share in report.lanes.shares().items()},
        filter_bytes=report.filter_bytes,
        feature_bytes=report.feature_bytes,
        spilled=len(report.spilled),
        on_host=len(report.on_host),
        **facts,
    )


def table(frames: list[Frame], overlay: str) -> Table:
    """Return the frames as a table."""
    drawn = Table(
        "network", "M MACs", "cycles", "model", "spilled", "differ", "compile s", "build s",
        "simulate s", title=overlay,
    )  # fmt: skip
    for f in frames:
        drawn.add_row(
            f.network, f"{f.macs / 1e6:.1f}", f"{f.cycles:,}", f"{f.estimated_cycles:,}",
            str(f.spilled), f"{f.bytes_differing} of {f.bytes_compared}", f"{f.compile_s:.1f}",
            f"{f.build_s:.1f}", f"{f.simulate_s:.1f}",
        )  # fmt: skip
    return drawn


def causes(frames: list[Frame]) -> Table:
    """Return where the lanes went, percent."""
    drawn = Table("lanes, %", *frames[0].lanes)
    for f in frames:
        drawn.add_row(f.network, *(f"{100 * share:.2f}" for share in f.lanes.values()))
    return drawn


def main() -> int:
    """Print the figures; 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", default="squeezenet", help=f"of {', '.join(light_models.FILES)}"
    )
    parser.add_argument("--overlay", default="original-3840")
    parser.add_argument("--engine", choices=("rtl", "estimate"), default="rtl")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    frames: list[Frame] = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in args.networks.split(","):
            task = bar.add_task(name, total=1.0)

            def tell(stage: str, share: float, name: str = name, task=task) -> None:
                bar.update(task, description=f"{name}: {stage}", completed=share)

            frames.append(frame(name, args.overlay, rtl=args.engine == "rtl", tell=tell))
    if args.json:
        print(json.dumps([dataclasses.asdict(f) for f in frames], indent=2))
    else:
        wide = Console(width=max(120, Console().width))
        wide.print(table(frames, args.overlay), causes(frames))
    return 1 if any(f.bytes_differing for f in frames) else 0


if __name__ == "__main__":
    sys.exit(main())
