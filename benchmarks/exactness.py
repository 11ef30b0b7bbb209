"""Golden arithmetic against ONNX Runtime on random integer layers: every output byte compared.

    python benchmarks/exactness.py --layers 10000 --seed 0 --json

Layer i of a seed is always the same. Exit status 1 when a byte differs; the layer is then named.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import track

import random_layers
from tf2.execution import Runner, interpret
from tf2.ir import Feature, Graph
from tf2.ir.integer_ops import window
from tf2.numerics import integer_ops


@dataclass
class Result:
    """What a run found.

    Attributes:
        layers: Compared.
        operators: Layers by operator.
        outputs: Bytes compared.
        saturated: Of them, bytes at -128 or 127.
        mismatches: Bytes that differ.
        failed_layers: Numbers of the layers with mismatches; `random_layer_of` rebuilds one.
        largest_accumulator: Largest magnitude in a convolution.
        seconds: Wall clock of the whole run.
        seed: Of the run.
    """

    seed: int
    layers: int = 0
    operators: dict[str, int] = field(default_factory=dict)
    outputs: int = 0
    saturated: int = 0
    mismatches: int = 0
    failed_layers: list[int] = field(default_factory=list)
    largest_accumulator: int = 0
    seconds: float = 0.0


def random_layer_of(seed: int, number: int) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return a layer of a run and its batch of 1 to 3."""
    rng = np.random.default_rng([seed, number])
    graph = random_layers.random_layer(rng)
    return graph, random_layers.feeds(rng, graph, int(rng.integers(1, 4)))


def largest_accumulator(graph: Graph, feeds: dict[str, np.ndarray]) -> int:
    """Return the largest magnitude of an accumulator if the layer is a convolution, else 0."""
    node = graph.nodes[-1]
    feature = graph.types[node.inputs[0]].dtype
    if node.op != "Conv" or not isinstance(feature, Feature):
        return 0
    acc = integer_ops.accumulate(
        feeds["x"],
        graph.constants[node.inputs[1]],
        graph.constants[node.inputs[2]],
        window=window(graph, node),
        groups=int(node.attr("group", 1)),
        zero_point=feature.zero_point,
    )
    return int(np.abs(acc).max())


def compare(layers: int, seed: int, console: Console) -> Result:
    """Return the comparison of that many layers."""
    result = Result(seed)
    start = time.perf_counter()
    for number in track(range(layers), description="layers", console=console, transient=True):
        graph, feeds = random_layer_of(seed, number)
        (name,) = graph.outputs
        golden = interpret(graph, feeds)[name]
        found = Runner(graph, threads=1)(feeds)[name]
        differing = int((golden != found).sum())
        result.layers += 1
        kind = graph.nodes[-1].kind
        result.operators[kind] = result.operators.get(kind, 0) + 1
        result.outputs += golden.size
        result.saturated += int(((golden == -128) | (golden == 127)).sum())
        result.mismatches += differing
        result.failed_layers += [number] if differing else []
        largest = largest_accumulator(graph, feeds)
        result.largest_accumulator = max(result.largest_accumulator, largest)
    result.seconds = round(time.perf_counter() - start, 1)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=10_000, help="number of random layers")
    parser.add_argument("--seed", type=int, default=0, help="of the run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    result = compare(arguments.layers, arguments.seed, Console(stderr=True))
    if arguments.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        for name, value in asdict(result).items():
            print(f"{name.replace('_', ' '):20} {value}")
    return 1 if result.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
