"""Speed of the `int` engine against ONNX Runtime's static int8 and float32, of the same graph.

    python benchmarks/engine_speed.py --models squeezenet,googlenet,resnet50 --rounds 15 --json

The three engines take turns, round by round, in one process; figures are medians over the rounds,
in milliseconds a batch. CPU time is of all threads; a thread that waits for work spins, so with
several threads wall clock is the figure to read, and it needs a quiet machine. ONNX Runtime's int8
is what its users get: quant_pre_process, then quantize_static (QDQ, uint8 features, int8 weights
per channel). The `int` engine is `tf2.Session`, its checks included.

What can be reached depends on the CPU, which the result names: with VNNI (dot products of bytes)
int8 products run at up to 4 times the rate of float32, with AVX2 alone at up to 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
    shape_inference,
)
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import light_models
from tf2.compression import compress
from tf2.data import PRESETS
from tf2.engines import Session
from tf2.execution.onnx_writer import BATCH, IR_VERSION, node_proto
from tf2.ir import OPSET, Graph
from tf2.model_file import CompressionSettings

Run = Callable[[np.ndarray], object]

CALIBRATION = 8
"""Images; speed does not depend on how well the scales fit."""

ROUND_SECONDS = 0.1
"""A round of one engine repeats its batch for about this long, after one run that is not timed."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Medians of one case; milliseconds a batch, and how many times faster than the others we are.

    Attributes:
        wall_ms: By engine: int, int8, fp32.
        cpu_ms: Likewise.
        wall_over_int8: wall_ms[int8] / wall_ms[int].
        wall_over_fp32: wall_ms[fp32] / wall_ms[int].
        cpu_over_int8: Likewise, CPU time.
        cpu_over_fp32: Likewise.
    """

    model: str
    batch: int
    threads: int
    wall_ms: dict[str, float]
    cpu_ms: dict[str, float]
    wall_over_int8: float
    wall_over_fp32: float
    cpu_over_int8: float
    cpu_over_fp32: float


@dataclass(frozen=True)
class Networks:
    """One network in three forms."""

    integer: Graph
    fp32: bytes
    int8: bytes


class _Reader(CalibrationDataReader):
    def __init__(self, name: str, batch: np.ndarray) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter(
            [{name: batch[i : i + 1]} for i in range(len(batch))]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return next(self._feeds, None)


def networks(name: str) -> Networks:
    """Return a light model in the three forms."""
    graph = light_models.light_model(name)
    batch = light_models.inputs(name, CALIBRATION, np.random.default_rng(1))
    affine = PRESETS[light_models.PREPROCESSING[name]].affine()
    settings = CompressionSettings(method="nearest")
    feeds = [{graph.inputs[0]: batch}]
    integer = compress(graph, feeds, settings, pixel_affine=affine).graph
    fp32 = _as_exported(graph)
    int8 = _static_int8(fp32, _Reader(graph.inputs[0], batch))
    return Networks(integer, fp32.SerializeToString(), int8)


def _as_exported(graph: Graph) -> onnx.ModelProto:
    """Return the float graph as ONNX operator by operator, without what TF2 does for speed."""

    def value(name: str) -> onnx.ValueInfoProto:
        shape = [BATCH, *graph.shape(name)[1:]]
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    proto = helper.make_graph(
        [node_proto(node) for node in graph.nodes],
        graph.name,
        [value(name) for name in graph.inputs],
        [value(name) for name in graph.outputs],
        [numpy_helper.from_array(data, name) for name, data in graph.constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(proto, ir_version=IR_VERSION, opset_imports=[opset])


def _static_int8(model: onnx.ModelProto, reader: CalibrationDataReader) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, result = (Path(folder) / f"{n}.onnx" for n in ("a", "b", "c"))
        onnx.save(model, source)
        shape_inference.quant_pre_process(source, prepared)
        quantize_static(
            prepared,
            result,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return result.read_bytes()


def _plain(model: bytes, threads: int) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})


def _integer(graph: Graph, threads: int) -> Run:
    session = Session(graph, "int", threads=threads)
    return lambda batch: session.run(None, {graph.inputs[0]: batch})


def measure(name: str, nets: Networks, *, batch: int, threads: int, rounds: Iterable[int]) -> Speed:
    """Return the medians of one case over the rounds."""
    x = light_models.inputs(name, batch, np.random.default_rng(2))
    runs: dict[str, Run] = {
        "int": _integer(nets.integer, threads),
        "int8": _plain(nets.int8, threads),
        "fp32": _plain(nets.fp32, threads),
    }
    repeats = {engine: _repeats(run, x) for engine, run in runs.items()}
    times: dict[str, list[tuple[float, float]]] = {engine: [] for engine in runs}
    for _ in rounds:
        for engine, run in runs.items():
            times[engine].append(_timed(run, x, repeats[engine]))
    medians = {engine: np.median(pairs, axis=0) * 1e3 for engine, pairs in times.items()}
    wall, cpu = ({engine: round(float(m[i]), 3) for engine, m in medians.items()} for i in (0, 1))
    return Speed(
        model=name,
        batch=batch,
        threads=threads,
        wall_ms=wall,
        cpu_ms=cpu,
        wall_over_int8=round(wall["int8"] / wall["int"], 3),
        wall_over_fp32=round(wall["fp32"] / wall["int"], 3),
        cpu_over_int8=round(cpu["int8"] / cpu["int"], 3),
        cpu_over_fp32=round(cpu["fp32"] / cpu["int"], 3),
    )


def _repeats(run: Run, x: np.ndarray) -> int:
    run(x)
    return max(1, round(ROUND_SECONDS / _timed(run, x, 2)[1]))


def _timed(run: Run, x: np.ndarray, repeats: int) -> tuple[float, float]:
    """Return (wall, CPU) seconds of one run, the mean of some after one that warms the caches."""
    run(x)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        run(x)
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats


def cpu() -> str:
    """Return the name of the CPU and the instructions that matter here, where Linux tells."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in path.read_text().splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = facts.get("flags", "").split()
    found = [f for f in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if f in flags]
    return f"{facts.get('model name', platform.machine())}, {' '.join(found)}"


def table(results: Sequence[Speed]) -> Table:
    """Return the results as a table."""
    columns = ("model", "batch", "thr", "int ms", "int8 ms", "fp32 ms", "int8/int", "fp32/int")
    drawn = Table(*columns, "CPU: int8/int", "fp32/int", title=f"wall clock; {cpu()}")
    for r in results:
        milliseconds = [f"{r.wall_ms[engine]:.2f}" for engine in ("int", "int8", "fp32")]
        ratios = (r.wall_over_int8, r.wall_over_fp32, r.cpu_over_int8, r.cpu_over_fp32)
        drawn.add_row(
            r.model, str(r.batch), str(r.threads), *milliseconds, *(f"{x:.2f}" for x in ratios)
        )
    return drawn


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", default=",".join(light_models.FILES), help="names, by commas")
    parser.add_argument("--batches", type=_numbers, default=[1, 8], help="sizes, by commas")
    parser.add_argument("--threads", type=_numbers, default=[1, 2], help="counts, by commas")
    parser.add_argument("--rounds", type=int, default=15, help="of all engines in turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantizer's advice to preprocess, which was followed
    results: list[Speed] = []
    cases = [(b, t) for b in arguments.batches for t in arguments.threads]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in arguments.models.split(","):
            nets = networks(name)
            for batch, threads in cases:
                label = f"{name}, batch {batch}, threads {threads}"
                rounds = progress.track(range(arguments.rounds), description=label)
                results.append(measure(name, nets, batch=batch, threads=threads, rounds=rounds))
    if arguments.json:
        found = {"cpu": cpu(), "results": [asdict(result) for result in results]}
        print(json.dumps(found, indent=2))
    else:
        Console().print(table(results))


if __name__ == "__main__":
    main()
