"""Frames a second of the light ImageNet networks on a part: search, then the exact cycles of each.

``python benchmarks/predictions.py --target arria10-gx1150`` searches one overlay for all networks
together; ``--overlay FILE`` counts on a given one. Area is the resource model's, the clock is
assumed or given: docs/resources.md says what that is worth.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from light_models import PREPROCESSING, inputs, light_model
from tf2 import flow
from tf2.compiler import compile_graph
from tf2.compression import compress
from tf2.data import PRESETS
from tf2.flow.searching import SearchReport, search, write_chart, write_overlay
from tf2.ir import Graph
from tf2.model_file import CompressionSettings
from tf2.platforms import part_of
from tf2.resources import estimate_resources
from tf2.search import surroundings
from tf2.sim.simulation import DdrSettings

NETWORKS = ("squeezenet-160", "googlenet-without-lrn", "resnet50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--target", default="arria10-gx1150")
    parser.add_argument("--overlay", help="JSON; do not search")
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--compilations", type=int, default=30)
    parser.add_argument("--output", type=Path, help="folder of overlay.json and chart.svg")
    arguments = parser.parse_args()
    names = arguments.networks.split(",")
    graphs = [compressed(name) for name in names]
    if arguments.overlay:
        count(names, graphs, arguments.overlay, arguments.target, arguments.instances)
        return
    report = search(
        graphs, arguments.target, instances=arguments.instances,
        compilations=arguments.compilations,
        progress=lambda stage, share: print(f"{100 * share:3.0f} % {stage}", file=sys.stderr),
    )  # fmt: skip
    show(names, report)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_overlay(report, arguments.output / "overlay.json")
        write_chart(report, arguments.output / "chart.svg")


def compressed(name: str) -> Graph:
    """Return a light model compressed the fast way: cycles do not depend on values."""
    graph = light_model(name)
    batch = inputs(name, 8, np.random.default_rng(1))
    return compress(
        graph, [{graph.inputs[0]: batch}], CompressionSettings(method="nearest"),
        pixel_affine=PRESETS[PREPROCESSING[name]].affine(),
    ).graph  # fmt: skip


def count(names: list[str], graphs: list[Graph], overlay: str, target: str, instances: int) -> None:
    """Print the frames a second of each network on one overlay."""
    config, part = flow.overlay_config(overlay), part_of(target)
    around = surroundings(part)
    shares = estimate_resources(config, part.family).shares(part)
    ddr = DdrSettings(beats_per_256=256 // instances)
    print(json.dumps(asdict(config)))
    print(" ".join(f"{name} {100 * instances * share:.0f} %" for name, share in shares.items()))
    for name, graph in zip(names, graphs, strict=True):
        report = flow.estimate(compile_graph(graph, config), config, ddr=ddr)
        rate = instances * report.frames_per_second(around.clock_mhz)
        print(
            f"{name}: {report.total.cycles:,} cycles, {rate:,.1f} frames/s at "
            f"{around.clock_mhz:g} MHz, {100 * report.utilization:.1f} % of the lanes, filter "
            f"stalls {report.total.stall_filter:,}"
        )


def show(names: list[str], report: SearchReport) -> None:
    """Print the front, the chosen overlay last."""
    for point in (*report.result.front, report.result.chosen):
        shares = point.resources.shares(report.part)
        print(
            f"{point.config.name}: {point.config.lanes:,} lanes, post {point.config.post_pixels}, "
            f"{point.config.feature_rows:,} rows, {point.config.filter_words:,} filter words; "
            + ", ".join(f"{name} {100 * point.instances * s:.0f} %" for name, s in shares.items())
            + "; "
            + ", ".join(
                f"{name} {cycles:,} cycles {rate:,.1f} frames/s"
                for name, cycles, rate in zip(
                    names, point.cycles, point.frames_per_second, strict=True
                )
            )
        )
    print(json.dumps(asdict(report.result.chosen.config)))


if __name__ == "__main__":
    main()
