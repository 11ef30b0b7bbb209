"""Channel pruning of a wider network: half the multiply-accumulates of a SqueezeNet, Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python benchmarks/wide_pruning.py --work DIR [--width 2] [--epochs 4] [--after 4] [--inq 1]

Trains the SqueezeNet of `fashion_mnist.py` with ``--width`` times its channels, takes half of its
multiply-accumulates away (one epoch of choosing, ``--after`` epochs of training), then INQ to 4
bits (``--inq`` epochs for each of four steps); trains the whole float network on for as long
("control"). Prints one JSON object: top-1 on the 10,000 test images, the last by the integers of
the packed file; sizes; CPU seconds, one thread. Results are kept in DIR; what is there is skipped.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import tf2
from fashion_mnist import (
    RECIPE,
    SEED,
    Result,
    float_top1,
    integer_top1,
    part,
    samples_of,
    slim_squeezenet,
    train_float,
)
from tf2 import flow
from tf2.evaluation import accuracy
from tf2.model_file.atomic import atomic_write
from tf2.pruning.recipe import PruningRecipe
from tf2.pruning.settings import PruningSettings
from tf2.training.progress import Progress
from tf2.training.settings import TrainingSettings

logger = logging.getLogger("wide_pruning")


def recipe_of(epochs: int) -> PruningRecipe:
    """Return how channels are chosen, and how the rest is trained."""
    return PruningRecipe(
        pruning=PruningSettings(target=0.5, normalize=True, seed=SEED),
        training=TrainingSettings(
            schedule=(1.0,), epochs=epochs, lr=0.02, augment="flip", seed=SEED
        ),
    )


def told(progress: Progress) -> None:
    """Log an epoch's end."""
    if progress.batch == progress.batches:
        logger.info("step %d, epoch %d: %.4f", progress.step, progress.epoch, progress.loss)


def trained_net(args: argparse.Namespace) -> torch.nn.Sequential:
    """Return the network of the stage "float"."""
    net = slim_squeezenet(args.width)
    net.load_state_dict(torch.load(args.work / "float.pth", weights_only=True))
    return net.eval()


def run_float(args: argparse.Namespace) -> Result:
    """Train the network from nothing."""
    torch.manual_seed(SEED)
    net = slim_squeezenet(args.width)
    train_float(net, args.epochs, 4e-3)
    with atomic_write(args.work / "float.pth") as file:
        torch.save(net.state_dict(), file)
    return {"top1": float_top1(net)}


def run_pruned(args: argparse.Namespace) -> Result:
    """Take channels out and train; goes on from its checkpoints."""
    images, labels = part("train")
    found = flow.prune(
        trained_net(args),
        samples_of(images, args.work, "train"),
        labels=labels,
        recipe=recipe_of(args.after),
        input_shapes=[[1, 1, 28, 28]],
        preprocessing=RECIPE,
        checkpoint=args.work / "pruned.checkpoint",
        resume=True,
        threads=1,
        epochs=told,
    )
    assert found is not None, "one process leads itself"
    found.save(args.work / "pruned.onnx")
    images, labels = part("t10k")
    samples = samples_of(images, args.work, "t10k")
    session = tf2.Session(args.work / "pruned.onnx", engine="float")
    return {"top1": accuracy(session, samples, labels).top1, **found.report()}


def run_inq(args: argparse.Namespace) -> Result:
    """Retrain the pruned network to 4 bits; goes on from its checkpoint."""
    images, labels = part("train")
    model = tf2.train(
        args.work / "pruned.onnx",
        samples_of(images, args.work, "train"),
        labels=labels,
        training=TrainingSettings(epochs=args.inq, lr=0.004, augment="flip", seed=SEED),
        preprocessing=RECIPE,
        checkpoint=args.work / "inq.checkpoint",
        resume=True,
        threads=1,
        epochs=told,
    )
    assert model is not None, "one process leads itself"
    model.save(args.work / "inq.tf2")
    return {"top1": integer_top1(args.work / "inq.tf2")}


def run_control(args: argparse.Namespace) -> Result:
    """Train the whole network on, for as long as the pruned one."""
    net = trained_net(args)
    train_float(net, args.after + 1, 1e-3)
    return {"top1": float_top1(net)}


STAGES: dict[str, Callable[[argparse.Namespace], Result]] = {
    "float": run_float,
    "pruned": run_pruned,
    "inq": run_inq,
    "control": run_control,
}


def main() -> None:
    """Run all stages and print their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    for name, default in (("width", 2), ("epochs", 4), ("after", 4), ("inq", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for stage in args.stages:
        path = args.work / f"{stage}.json"
        if not path.exists():
            began = time.process_time()
            result = STAGES[stage](args)
            path.write_text(json.dumps({**result, "cpu": round(time.process_time() - began)}))
        results[stage] = json.loads(path.read_text())
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
