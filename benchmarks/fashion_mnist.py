"""INQ from 4 to 2 bits on a SqueezeNet that this script trains: Fashion-MNIST, float and integers.

    apt-get install dataset-fashion-mnist
    python benchmarks/fashion_mnist.py float post inq4 inq3 control --work DIR

Each stage leaves its result in DIR, and is skipped where there is one; a training that was ended
goes on where it stood. At the end the table of all results is printed, in Markdown.

Stages: "float" trains the network; "post" compresses it without training; "inq4", "inq3", "inq2"
retrain it to so many bits; "control" trains the float network for as long as inq4, with the same
rate, so that what more training alone gives is seen. All figures are top-1 on the 10,000 test
images, those of "post" and "inq" with the integers of the packed file. Times are of the processor,
one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import tf2
from tf2.data import Preprocessing, Samples
from tf2.evaluation import accuracy
from tf2.model_file.atomic import atomic_write
from tf2.training.settings import TrainingSettings

FOLDER = Path("/usr/share/datasets/fashion-mnist")
RECIPE = Preprocessing(channels="GRAY", scale=1 / 255, mean=(0.286,), std=(0.353,))
BATCH = 128
SEED = 0

Work = Path
Result = dict[str, Any]

logger = logging.getLogger("fashion_mnist")


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1x1 and by 3x3 (Iandola et al. 2016)."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, 2 * expanded, H, W)."""
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1(x), self.expand3(x)], 1))


def slim_squeezenet(width: int = 1) -> nn.Sequential:
    """Return SqueezeNet 1.1 for images of 28x28: four fire modules, no BN.

    Args:
        width: Times the channels of the slim one, which has 35 thousand weights.
    """
    c = 12 * width
    net = nn.Sequential(
        nn.Conv2d(1, 2 * c, 3, 2, 1),
        nn.ReLU(),
        Fire(2 * c, c, 2 * c),
        Fire(4 * c, c, 2 * c),
        nn.MaxPool2d(2),
        Fire(4 * c, 2 * c, 4 * c),
        Fire(8 * c, 2 * c, 4 * c),
        nn.Conv2d(8 * c, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]
    return net


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in an IDX file of bytes."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">i4", rank, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def part(name: str, folder: Path = FOLDER) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images (N, 28, 28) and classes of "train" or "t10k"."""
    images, labels = (
        read_idx(folder / f"{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    )
    return images, labels.astype(np.int64)


def samples_of(images: NDArray[np.uint8], work: Work, name: str) -> Samples:
    """Return images as samples: those of an array file in the work folder."""
    path = work / f"{name}.npz"
    if not path.exists():
        with atomic_write(path) as file:
            np.savez(file, x=images)
    return Samples.open(path, RECIPE, key="x")


def train_float(net: nn.Module, epochs: int, rate: float) -> None:
    """Train with mirrored images by Adam, the rate rising, then falling to zero."""
    images, labels = part("train")
    gain, offset = RECIPE.affine()
    x = torch.from_numpy(images.copy()).unsqueeze(1).float() * float(gain[0]) + float(offset[0])
    y = torch.from_numpy(labels)
    x = x.to(memory_format=torch.channels_last)
    net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    steps = epochs * (len(x) // BATCH)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    random = torch.Generator().manual_seed(SEED)
    net.train()
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=random)
        total = 0.0
        for picked in order[: len(x) // BATCH * BATCH].split(BATCH):
            mirrored = torch.rand(BATCH, generator=random) < 0.5
            batch = torch.where(mirrored.reshape(-1, 1, 1, 1), x[picked].flip(3), x[picked])
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(batch), y[picked])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        logger.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, total * BATCH / len(x))
    net.eval()


def float_top1(net: nn.Module) -> float:
    """Return the share of test images that the float network gets right."""
    images, labels = part("t10k")
    gain, offset = RECIPE.affine()
    x = torch.from_numpy(images.copy()).unsqueeze(1).float() * float(gain[0]) + float(offset[0])
    with torch.inference_mode():
        found = torch.cat([net(batch).argmax(1) for batch in x.split(500)])
    return float((found.numpy() == labels).mean())


def trained_net(work: Work) -> nn.Sequential:
    """Return the network of the stage "float"."""
    net = slim_squeezenet()
    net.load_state_dict(torch.load(work / "float.pth", weights_only=True))
    return net.eval()


def run_float(work: Work, args: argparse.Namespace) -> Result:
    """Train the network from nothing."""
    torch.manual_seed(SEED)
    net = slim_squeezenet()
    train_float(net, args.epochs, 4e-3)
    with atomic_write(work / "float.pth") as file:
        torch.save(net.state_dict(), file)
    return {"top1": float_top1(net), "epochs": args.epochs}


def run_control(work: Work, args: argparse.Namespace) -> Result:
    """Train the float network on, for as long as inq4."""
    net = trained_net(work)
    epochs = sum(settings_of("inq4").epochs_of_steps)
    train_float(net, epochs, 1e-3)
    return {"top1": float_top1(net), "epochs": epochs}


def run_post(work: Work, args: argparse.Namespace) -> Result:
    """Compress without training."""
    images, _ = part("train")
    model = tf2.compress(
        trained_net(work),
        samples_of(images, work, "train").take(512, SEED),
        input_shapes=[[1, 1, 28, 28]],
        preprocessing=RECIPE,
    )
    model.save(work / "post.tf2")
    return {"top1": integer_top1(work / "post.tf2"), "epochs": 0}


def settings_of(stage: str) -> TrainingSettings:
    """Return how a stage is retrained: the recipes, shortened to this small network."""
    recipes = Path(__file__).resolve().parents[1] / "recipes"
    if stage == "inq4":
        recipe = TrainingSettings.load(recipes / "inq-cifar10.json")
        return recipe.changed(epochs=(1, 1, 1, 2), lr=0.02, distill=0.0, augment="flip", seed=SEED)
    recipe = TrainingSettings.load(recipes / "inq-3bit.json")
    return recipe.changed(epochs=1, distill=0.0, augment="flip", bits=int(stage[3]), seed=SEED)


def run_inq(work: Work, stage: str) -> Result:
    """Retrain to the bits in the stage's name; goes on from its checkpoint."""
    images, labels = part("train")
    settings = settings_of(stage)
    model = tf2.train(
        trained_net(work),
        samples_of(images, work, "train"),
        labels=labels,
        training=settings,
        input_shapes=[[1, 1, 28, 28]],
        preprocessing=RECIPE,
        checkpoint=work / f"{stage}.checkpoint",
        resume=True,
        threads=1,
        epochs=_logged,
    )
    assert model is not None, "one process leads itself"
    model.save(work / f"{stage}.tf2")
    (work / f"{stage}.checkpoint").unlink(missing_ok=True)
    epochs = sum(settings.epochs_of_steps)
    return {"top1": integer_top1(work / f"{stage}.tf2"), "epochs": epochs}


def _logged(progress: Any) -> None:
    if progress.batch == progress.batches:
        logger.info("%.4g %% frozen: loss %.4f", 100 * progress.share, progress.loss)


def integer_top1(path: Path) -> float:
    """Return the share of test images that a packed model gets right."""
    images, labels = part("t10k")
    samples = samples_of(images, path.parent, "t10k")
    return accuracy(tf2.Session(path), samples, labels).top1


STAGES: Mapping[str, Callable[[Work, argparse.Namespace], Result]] = {
    "float": run_float,
    "post": run_post,
    "inq4": lambda work, _: run_inq(work, "inq4"),
    "inq3": lambda work, _: run_inq(work, "inq3"),
    "inq2": lambda work, _: run_inq(work, "inq2"),
    "control": run_control,
}


def table(results: Mapping[str, Result]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| stage | epochs | top-1 | against float | CPU s |", "|---|---|---|---|---|"]
    base = results.get("float", {"top1": float("nan")})["top1"]
    for stage, row in results.items():
        points = 100 * (row["top1"] - base)
        lines.append(
            f"| {stage} | {row['epochs']} | {100 * row['top1']:.2f} | {points:+.2f} | "
            f"{row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4, help="of the stage float")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    for stage in args.stages:
        path = args.work / f"{stage}.json"
        if not path.exists():
            began = time.process_time()
            result = STAGES[stage](args.work, args)
            result["seconds"] = time.process_time() - began
            path.write_text(json.dumps(result))
    done = [stage for stage in STAGES if (args.work / f"{stage}.json").exists()]
    print(table({s: json.loads((args.work / f"{s}.json").read_text()) for s in done}))


if __name__ == "__main__":
    main()
