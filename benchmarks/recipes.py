"""Every recipe on the original's ImageNet networks: a few batches of random images, to the end.

    python benchmarks/recipes.py [--networks alexnet ...] [--recipes inq-imagenet ...]

The networks are the onnx package's graphs with random weights (`light_models`), the images noise:
what is seen is that every step of the way works on them (starting weights, each step of the
schedule, the packed integers), what it needs in time and memory, and that the packed network
answers as the trained module does. A pruning recipe (`--recipes prune-channels-imagenet`) goes
as far: channels chosen on a few batches, cut out, the rest trained. No accuracy follows from it.
With ImageNet at hand, the command in `recipes/README.md` does the same with the real data.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

import tf2
from light_models import PREPROCESSING, SIDES, inputs, light_model, pixels
from tf2.data import PRESETS, Preprocessing
from tf2.data.samples import ImageSource, Samples
from tf2.model_file import CompressionSettings
from tf2.pruning.recipe import PruningRecipe
from tf2.training.settings import TrainingSettings

NETWORKS = ("alexnet-without-lrn", "squeezenet", "googlenet-without-lrn", "resnet50", "vgg16")
"""LRN runs on the host in float; left out here, as the original's conversion leaves it out."""

RECIPES = Path(__file__).resolve().parents[1] / "recipes"

CLASSES = 1000


def noise(name: str, count: int) -> Samples:
    """Return random photographs as the network reads them."""
    images = pixels(count, np.random.default_rng(0), SIDES.get(name, 224))
    recipe = _recipe(name)
    source = ImageSource(read=lambda index: images[index], preprocessing=recipe)
    names = [f"noise[{index}]" for index in range(count)]
    return Samples(names, lambda index: recipe.apply(images[index]), images=source)


def _recipe(name: str) -> Preprocessing:
    return PRESETS[PREPROCESSING[name]].model_copy(update={"keep_exact_size": True})


def dry_pruning(name: str, recipe: str, args: argparse.Namespace) -> dict[str, float]:
    """Prune a network by a recipe on a few batches; return what it took and what is left."""
    graph = light_model(name)
    samples = noise(name, max(args.batch * args.batches, 4))
    losses: list[float] = []
    began = time.process_time()
    how = PruningRecipe.load(RECIPES / f"{recipe}.json")
    pruned = tf2.prune(
        graph,
        samples,
        recipe=how.model_copy(
            update={"training": how.training.changed(batch=args.batch, epochs=1)}
        ),
        labels=np.random.default_rng(0).integers(0, CLASSES, len(samples)),
        preprocessing=_recipe(name),
        threads=1,
        epochs=lambda progress: losses.append(progress.loss),
    )
    assert pruned is not None, "one process leads itself"
    return {
        "seconds": time.process_time() - began,
        "steps": len(losses) * args.batch / len(samples),
        "loss": losses[-1],
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "left": pruned.after.flops / pruned.before.flops,
    }


def dry_run(name: str, recipe: str, args: argparse.Namespace) -> dict[str, float]:
    """Train a network by a recipe for a few batches; return what it took and how it ended."""
    graph = light_model(name)
    samples = noise(name, max(args.batch * args.batches, 4))
    losses: list[float] = []
    began = time.process_time()
    model = tf2.train(
        graph,
        samples,
        labels=np.random.default_rng(0).integers(0, CLASSES, len(samples)),
        training=TrainingSettings.load(RECIPES / f"{recipe}.json").changed(batch=args.batch),
        settings=CompressionSettings(rows=args.rows),
        calibration=samples.take(4, 0),
        preprocessing=_recipe(name),
        dry_run=args.batches,
        threads=1,
        epochs=lambda progress: losses.append(progress.loss),
    )
    assert model is not None, "one process leads itself"
    x = inputs(name, 2, np.random.default_rng(1))
    (integers,) = tf2.Session(model.graph).run(None, {graph.inputs[0]: x})
    assert np.isfinite(integers).all()
    return {
        "seconds": time.process_time() - began,
        "steps": len(losses) / args.batches,
        "loss": losses[-1],
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--recipes", nargs="+", default=["inq-original-imagenet", "inq-imagenet"])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | recipe | steps | last loss | CPU s | memory so far |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in args.networks:
        for recipe in args.recipes:
            dry = dry_pruning if recipe.startswith("prune") else dry_run
            row = dry(name, recipe, args)
            print(
                f"| {name} | {recipe} | {row['steps']:.0f} | {row['loss']:.3f} | "
                f"{row['seconds']:.0f} | {row['gigabytes']:.1f} GiB |"
                + (f" {100 * row['left']:.1f} % of FLOPs left |" if "left" in row else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
