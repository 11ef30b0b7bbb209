"""Pruning rows of docs/accuracy.md: ResNet-20 on CIFAR-10, pruned, trained, then INQ.

    python benchmarks/pruning.py random|channels [--epochs N] [--samples N] [--folder OUT]
                                 [--inq-epochs 1,1,1,1|none] [--threads 1]

Prints one JSON object: accuracy as float, pruned and as integers on the 5,000 test images, sizes,
cycles on `ecp5-85k`, the share of weight codes that are zero, CPU seconds of this process. Stages
that are done are read from the folder; an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tf2
from tf2 import flow
from tf2.data import Preprocessing
from tf2.evaluation import Accuracy
from tf2.flow.training import train
from tf2.ir import Graph
from tf2.ir.integer_ops import DOMAIN
from tf2.model_file import CompressedModel, read_model
from tf2.pruning.recipe import PruningRecipe
from tf2.training.progress import Progress
from tf2.training.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "models"
MODEL = SHARED / "resnet20-cifar10-pytorch"
TRAIN, TEST = (SHARED / "cifar10" / name for name in ("train_25k.zip", "test_5k.zip"))
OVERLAY = "ecp5-85k"
SOURCE = {
    "weights": MODEL / "resnet20_cifar10_jpegft.pth",
    "input_shapes": [[1, 3, 32, 32]],
}


def recipe_of(name: str, epochs: int | None, samples: int | None) -> PruningRecipe:
    """Return a recipe of ``recipes/``, with other numbers where they are given."""
    found = PruningRecipe.load(ROOT / "recipes" / f"prune-{name}-cifar10.json")
    pruning, training = found.pruning, found.training
    if samples is not None:
        pruning = pruning.changed(samples=samples)
    if epochs is not None:
        training = training.changed(epochs=epochs)
    return PruningRecipe(pruning=pruning, training=training)


def show(progress: Progress) -> None:
    """Print an epoch's end on stderr."""
    if progress.batch == progress.batches:
        print(
            f"step {progress.step} epoch {progress.epoch} loss {progress.loss:.4f} "
            f"training {progress.accuracy} CPU {time.process_time():.0f} s",
            file=sys.stderr,
            flush=True,
        )


def pruned(name: str, recipe: PruningRecipe, folder: Path, threads: int) -> dict[str, Any]:
    """Return the report of the pruning; ``name.onnx`` in the folder is the network."""
    report = folder / f"{name}.json"
    if not report.exists():
        found = flow.prune(
            f"{MODEL / 'resnet.py'}:resnet20",
            TRAIN,
            recipe=recipe,
            overlay=OVERLAY,
            preprocessing="cifar10-torch",
            checkpoint=folder / f"{name}.checkpoint",
            resume=True,
            threads=threads,
            epochs=show,
            **SOURCE,
        )
        assert found is not None, "one process"
        found.save(folder / f"{name}.onnx")
        report.write_text(json.dumps({**found.report(), "cpu": time.process_time()}))
    return json.loads(report.read_text())


def quantized(name: str, epochs: tuple[int, ...], folder: Path, threads: int) -> CompressedModel:
    """Return the pruned network after INQ."""
    path = folder / f"{name}.tf2"
    if not path.exists():
        model = train(
            folder / f"{name}.onnx",
            TRAIN,
            training=TrainingSettings(epochs=epochs, lr=0.005, augment="crop"),
            preprocessing="cifar10-torch",
            checkpoint=folder / f"{name}.inq.checkpoint",
            resume=True,
            threads=threads,
            epochs=show,
        )
        assert model is not None, "one process"
        model.save(path)
    return read_model(path)


def top1(model: Graph | CompressedModel, engine: str, threads: int) -> float:
    """Return the accuracy on the test images."""
    samples = flow.open_samples(TEST, Preprocessing.load("cifar10-torch"), model_graph())
    found = flow.evaluate(model, samples, engine=engine, threads=threads)
    assert isinstance(found, Accuracy), "of one engine"
    return round(found.top1, 4)


def model_graph() -> Graph:
    """Return the network as it was before pruning."""
    return tf2.load_model(f"{MODEL / 'resnet.py'}:resnet20", **SOURCE).graph


def zero_codes(model: CompressedModel) -> float:
    """Return the share of weight codes that are zero."""
    layers = [n for n in model.graph.nodes if n.domain == DOMAIN and n.op == "Conv"]
    codes = np.concatenate([model.graph.constants[n.inputs[1]].reshape(-1) for n in layers])
    return round(float((codes == 0).mean()), 4)


def main() -> None:
    """Run one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=("random", "channels"))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--inq-epochs", default="1,1,1,1")
    parser.add_argument("--folder", type=Path, default=Path("pruning"))
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    recipe = recipe_of(given.row, given.epochs, given.samples)
    report = pruned(given.row, recipe, given.folder, given.threads)
    smaller = tf2.load_model(given.folder / f"{given.row}.onnx").graph
    result = {
        "row": given.row,
        "before": report["before"],
        "after": report["after"],
        "widths": report["widths"],
        "epochs": len(report["epochs"]),
        "top1_float": top1(model_graph(), "float", given.threads),
        "top1_pruned": top1(smaller, "float", given.threads),
    }
    if given.inq_epochs != "none":
        epochs = tuple(map(int, given.inq_epochs.split(",")))
        model = quantized(given.row, epochs, given.folder, given.threads)
        result |= {
            "top1_int": top1(model, "int", given.threads),
            "cycles_int": flow.estimate(model, OVERLAY).total.cycles,
            "zero_codes": zero_codes(model),
        }
    result["cpu_seconds"] = round(time.process_time())
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
