"""One INQ training epoch against the same plain torch loop: CPU seconds a batch, interleaved.

    python benchmarks/training_speed.py [--model resnet20|squeezenet] [--amp auto|off] [--rounds 5]

Random images of the network's size; weights of the networks in `random_layers` and torch's own
initialization. Both loops have the same data loading, bfloat16 and memory format; INQ adds the
grids after every step and the rounding of features.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import nn

from tf2.importers import load_model
from tf2.ir import Graph
from tf2.model_file import CompressionSettings
from tf2.training.data import Batches, TrainingSet
from tf2.training.loop import Trainer, uses_bf16
from tf2.training.module import GraphModule
from tf2.training.processes import join
from tf2.training.settings import TrainingSettings
from tf2.training.start import start_of


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


def plain_loop(graph: Graph, data: Noise, settings: TrainingSettings) -> float:
    """Return the CPU seconds of an epoch of a plain torch loop."""
    module = GraphModule(graph).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    bf16 = uses_bf16(settings.amp, torch.device("cpu"))
    began = time.process_time()
    for x, y in Batches(data, size=settings.batch, seed=0).epoch(0):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            scores = module(x.to(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(scores.float(), y)
        loss.backward()
        optimizer.step()
        loss.item()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--amp", default="auto", choices=["auto", "bf16", "off"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    graph = resnet20()
    data = Noise(128 * args.batches, (3, 32, 32))
    batch, _ = data.batch(range(16), ())
    start = start_of(graph, [{graph.inputs[0]: batch.numpy()}], CompressionSettings(rows=2000))
    settings = TrainingSettings(schedule=(0.5, 1.0), epochs=1, lr=1e-4, amp=args.amp)
    for features in (False, True):
        pairs = []
        for _ in range(args.rounds):
            plain = plain_loop(start.float_graph, data, settings)
            changed = settings.changed(int8_features=features)
            trainer = Trainer(start, changed, data, join("cpu"))
            began = time.process_time()
            trainer.run()
            pairs.append(((time.process_time() - began) / 2, plain))
        ratio = statistics.median(inq / plain for inq, plain in pairs)
        inq, plain = (statistics.median(p[i] for p in pairs) / args.batches for i in (0, 1))
        kind = "8-bit features" if features else "float features"
        print(f"INQ, {kind}: {inq:.3f} s a batch, plain {plain:.3f}, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
