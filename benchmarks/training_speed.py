"""One INQ training epoch against the same plain torch loop: CPU seconds a batch, interleaved.

    python benchmarks/training_speed.py [--amp auto|off] [--rounds 12] [--epoch 195]

ResNet-20 with torch's own initialization, batches of 128 random images. Both loops compute the same
network in the same precision and memory format, with the same optimizer; INQ adds the rounding of
features, the bound of the gradient's norm, the grids at every step, and freezing at the head of a
step of the schedule, which counts with its share of an epoch of ``--epoch`` batches.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from tf2.importers import load_model
from tf2.ir import Graph
from tf2.model_file import CompressionSettings
from tf2.training.data import TrainingSet
from tf2.training.loop import Trainer
from tf2.training.module import GraphModule
from tf2.training.placement import uses_bf16
from tf2.training.processes import join
from tf2.training.settings import TrainingSettings
from tf2.training.start import start_of

BATCH = 128


class Block(nn.Module):
    """Residual block of ResNet-20, shortcuts by a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def resnet20() -> Graph:
    """ResNet-20 with BatchNormalization folded, random weights."""
    widths = (
        [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    )
    blocks = [Block(*w) for w in widths]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU(), *blocks, *head)
    return load_model(net.eval(), input_shapes=[[1, 3, 32, 32]]).graph


class Noise(TrainingSet):
    """Random bytes as images, at once in memory."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self._x = torch.from_numpy(rng.standard_normal((count, *shape)).astype(np.float32))
        self._y = torch.from_numpy(rng.integers(0, 10, count))

    def __len__(self) -> int:
        return len(self._y)

    def batch(self, indices, key):
        """Return images and classes."""
        return self._x[list(indices)], self._y[list(indices)]


class Plain:
    """A plain torch loop, as one would write it."""

    def __init__(self, graph: Graph, settings: TrainingSettings) -> None:
        self._module = GraphModule(graph).train()
        self._module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        parameters = self._module.parameters()
        self._optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, nesterov=True)
        self._bf16 = uses_bf16(settings.amp, torch.device("cpu"))

    def batch(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Train on one batch."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            scores = self._module(x.to(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(scores.float(), y)
        loss.backward()
        self._optimizer.step()
        loss.item()


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--amp", default="auto", choices=["auto", "bf16", "off"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--epoch", type=int, default=195)
    args = parser.parse_args()
    torch.set_num_threads(1)
    graph = resnet20()
    data = Noise(BATCH, (3, 32, 32))
    x, y = data.batch(range(BATCH), ())
    start = start_of(graph, [{graph.inputs[0]: x[:16].numpy()}], CompressionSettings(rows=2000))
    settings = TrainingSettings(schedule=(0.5, 1.0), epochs=1, batch=BATCH, amp=args.amp)
    plain = Plain(start.float_graph, settings)
    trainers = {
        kind: Trainer(start, settings.changed(int8_features=bytes_), data, join("cpu"))
        for kind, bytes_ in (("float features", False), ("8-bit features", True))
    }
    freezing = {
        kind: seconds(lambda trainer=trainer: trainer.inq.freeze(0.5)) / args.epoch
        for kind, trainer in trainers.items()
    }
    rows: list[dict[str, float]] = []
    for _ in range(args.rounds + 1):
        row = {"plain": seconds(lambda: plain.batch(x, y))}
        for kind, trainer in trainers.items():
            trainer.module.train()
            took = seconds(lambda trainer=trainer: trainer._batch(trainer.module, x, y, 1e-4))
            row[kind] = took + freezing[kind]
        rows.append(row)
    rows = rows[1:]  # the first is warming up
    best = min(row["plain"] for row in rows)
    print(f"plain: {best:.3f} s a batch at best")
    for kind in trainers:
        least = min(row[kind] for row in rows)
        median = statistics.median(row[kind] / row["plain"] for row in rows)
        print(
            f"INQ, {kind}: {least:.3f} s a batch at best, {least / best:.3f} times plain; median "
            f"of the rounds' ratios {median:.3f}"
        )


if __name__ == "__main__":
    main()
