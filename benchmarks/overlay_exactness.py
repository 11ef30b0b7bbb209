"""Pretrained networks in the RTL, every visible layer held against the `int` engine to the bit.

    python benchmarks/overlay_exactness.py --networks resnet20,det1,det2,det3,tcn,meshnet5

Networks are of ../shared/models, rounded to the nearest codes (exactness does not depend on how
good they are) with scales from random samples. Each is compiled with every value stored that exists
outside of a fused layer, and run by engine "functional" and engine "rtl" on one sample.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tf2.compression import compress
from tf2.data import Samples
from tf2.engines import Session
from tf2.evaluation import ExactComparison, exact_differences
from tf2.importers import load_model
from tf2.ir import Graph
from tf2.model_file import CompressionSettings

MODELS = Path(__file__).resolve().parents[1].parent / "shared" / "models"


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where a network is and what it reads.

    Attributes:
        model: Below the folder of models.
        weights: Likewise, for Caffe.
        shape: Of its input, where the file leaves it open or a smaller one will do.
        outputs: Values to return instead of the file's own.
        low: Smallest input value.
        high: Largest.
    """

    model: str
    weights: str | None = None
    shape: Sequence[int] | None = None
    outputs: Sequence[str] | None = None
    low: float = -1.0
    high: float = 1.0


NETWORKS: Mapping[str, Network] = {
    "squeezenet": Network(
        model="squeezenet-v1.1-caffe/deploy.prototxt",
        weights="squeezenet-v1.1-caffe/squeezenet_v1.1.caffemodel", low=-120, high=150,
    ),
    "resnet20": Network(model="resnet20-cifar10-pytorch/resnet20.onnx", low=-2, high=2),
    "det1": Network(
        model="mtcnn-caffe/det1.prototxt", weights="mtcnn-caffe/det1.caffemodel",
        shape=(1, 3, 120, 90),
    ),
    "det2": Network(model="mtcnn-caffe/det2.prototxt", weights="mtcnn-caffe/det2.caffemodel"),
    "det3": Network(model="mtcnn-caffe/det3.prototxt", weights="mtcnn-caffe/det3.caffemodel"),
    "fastestdet": Network(model="fastestdet-onnx/FastestDet.onnx", low=0),
    "ssd-res10": Network(
        model="ssd-res10-face-caffe/deploy.prototxt",
        weights="ssd-res10-face-caffe/res10_300x300_ssd_iter_140000.caffemodel",
        outputs=("mbox_loc", "mbox_conf_flatten"), low=-120, high=150,
    ),
    "tcn": Network(model="ecg5000-tcn-1d/tcn.onnx", low=-2, high=2),
    "crepe": Network(model="crepe-tiny-1d-pytorch/crepe_tiny.onnx", low=-3, high=3),
    "meshnet5": Network(model="meshnet5-3d/meshnet.onnx", shape=(1, 1, 24, 24, 24), low=0),
}  # fmt: skip
"""By name; det1 to det3 are MTCNN's."""


def samples_of(network: Network, graph: Graph, count: int) -> np.ndarray:
    """Return smooth random samples: noise and its running mean, within the network's range."""
    rng = np.random.default_rng(0)
    shape = (count, *graph.shape(graph.inputs[0])[1:])
    noise = rng.random(shape) + np.cumsum(rng.random(shape) - 0.5, axis=-1)
    noise -= noise.min()
    scaled = noise / noise.max() * (network.high - network.low) + network.low
    return scaled.astype(np.float32)


def compared(
    name: str,
    overlay: str,
    engine: str,
    tell,
) -> tuple[ExactComparison, float]:
    """Return where an engine of the array differs from "int", and the seconds it took."""
    network = NETWORKS[name]
    imported = load_model(
        str(MODELS / network.model),
        weights=None if network.weights is None else MODELS / network.weights,
        outputs=network.outputs,
        input_shapes=None if network.shape is None else [list(network.shape)],
    )
    graph = getattr(imported, "graph", imported)
    rows = samples_of(network, graph, 4)
    integer = compress(
        graph, [{graph.inputs[0]: rows}], CompressionSettings(method="nearest")
    ).graph
    samples = Samples(["sample"], lambda i: rows[i])
    reference = Session(integer, "int")
    other = Session(integer, engine, overlay=overlay, progress=tell)
    start = time.perf_counter()
    result = exact_differences(reference, other, samples)
    return result, time.perf_counter() - start


def main() -> int:
    """Print a row for each network and engine; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--overlay", default="ecp5-85k")
    parser.add_argument("--engines", default="functional,rtl")
    args = parser.parse_args()
    table = Table("network", "engine", "values", "elements", "differ", "s", title=args.overlay)
    wrong = 0
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in args.networks.split(","):
            for engine in args.engines.split(","):
                task = bar.add_task(f"{name} {engine}", total=1.0)

                def tell(stage: str, share: float, task=task, name: str = name) -> None:
                    bar.update(task, description=f"{name}: {stage}", completed=share)

                result, seconds = compared(name, args.overlay, engine, tell)
                differing = sum(d.differing for d in result.differences)
                wrong += differing
                table.add_row(
                    name, engine, str(len(result.values)), f"{result.compared:,}",
                    str(differing), f"{seconds:.1f}",
                )  # fmt: skip
    Console().print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
