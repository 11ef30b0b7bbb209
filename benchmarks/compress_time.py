"""Time and memory of compression, stage by stage, on light models with realistic weights.

    python benchmarks/compress_time.py squeezenet --samples 128 --json

Images and weights are random (`light_models`): their values hardly change how long it takes. The
import and the drawing of weights are not counted. The peak is that of the whole process.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.progress import Progress

import light_models
from tf2.compression import compress
from tf2.data import PRESETS
from tf2.flow.calibration import BATCH
from tf2.model_file import CompressionSettings

STAGES = {
    "calibrate": "measure",
    "float network": "run_float",
    "integer network": "run_emitted",
    "statistics": "statistics",
    "solve": "compress_layer",
    "report": "layer_report",
}
"""Names of the stages, and the functions that they are the time of."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What compressing one network took.

    Attributes:
        wall_seconds: Of `compress`.
        cpu_seconds: Likewise, all threads.
        stages: Wall seconds by stage, what is left as "rest".
        peak_mib: Largest resident memory of the process.
        cores: That the process may use.
    """

    model: str
    samples: int
    method: str
    wall_seconds: float
    cpu_seconds: float
    stages: dict[str, float]
    peak_mib: float
    cores: int


def cost(name: str, samples: int, settings: CompressionSettings, top: int) -> Cost:
    """Compress a light model once; print the ``top`` functions by their own time."""
    graph = light_models.light_model(name)
    images = light_models.inputs(name, samples, np.random.default_rng(1))
    batches = [{graph.inputs[0]: images[i : i + BATCH]} for i in range(0, samples, BATCH)]
    affine = PRESETS[light_models.PREPROCESSING[name]].affine()
    profile = cProfile.Profile()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=1.0)

        def told(stage: str, share: float) -> None:
            progress.update(task, description=stage, completed=share)

        wall, cpu = time.perf_counter(), time.process_time()
        with profile:
            compress(graph, batches, settings, pixel_affine=affine, progress=told)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stats = pstats.Stats(profile)
    if top:
        stats.sort_stats("tottime").print_stats(top)
    stages = {stage: _seconds(stats, function) for stage, function in STAGES.items()}
    kilo = 1024 if platform.system() == "Darwin" else 1  # macOS counts bytes, Linux KiB
    return Cost(
        model=name,
        samples=samples,
        method=settings.method,
        wall_seconds=round(wall, 1),
        cpu_seconds=round(cpu, 1),
        stages={**stages, "rest": round(wall - sum(stages.values()), 1)},
        peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / kilo),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
    )


def _seconds(stats: pstats.Stats, function: str) -> float:
    """Return the time spent in functions of tf2 of that name, and in what they called."""
    entries: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # pyright: ignore[reportAttributeAccessIssue]
    times = [
        cumulative
        for (file, _, name), (_, _, _, cumulative, _) in entries.items()
        if name == function and f"{os.sep}tf2{os.sep}" in file
    ]
    return round(sum(times), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", choices=light_models.FILES, help="which light model")
    parser.add_argument("--samples", type=int, default=128, help="calibration images")
    parser.add_argument("--method", choices=("compensated", "nearest"), default="compensated")
    parser.add_argument("--rows", type=int, default=60_000, help="positions sampled for a layer")
    parser.add_argument("--top", type=int, default=0, help="functions to list by their own time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    settings = CompressionSettings(method=arguments.method, rows=arguments.rows)
    found = cost(arguments.model, arguments.samples, settings, arguments.top)
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
        return
    for name, value in asdict(found).items():
        print(f"{name.replace('_', ' '):15} {value}")


if __name__ == "__main__":
    main()
