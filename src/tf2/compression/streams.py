"""The float and the quantized network side by side on the calibration samples, one step at a time.

Only values that a later step still reads are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tf2.execution import Runner
from tf2.ir import Feature, Graph
from tf2.numerics import fixed_point
from tf2.quantization import IntegerGraph, Step, bytes_name

Batches = Sequence[Mapping[str, np.ndarray]]
Values = dict[str, list[np.ndarray]]


class Streams:
    """Values of both networks, one array a batch.

    Args:
        graph: The canonical float graph.
        builder: The integer graph that grows along with it.
        batches: Calibration samples.
        steps: Of the partition, in order; tells when a value is read for the last time.
    """

    def __init__(
        self, graph: Graph, builder: IntegerGraph, batches: Batches, steps: Sequence[Step]
    ) -> None:
        self._graph = graph
        self._builder = builder
        self._count = len(batches)
        inputs = {name: [np.asarray(b[name]) for b in batches] for name in graph.inputs}
        self._float: Values = dict(inputs)
        self._integer: Values = dict(inputs)
        self._emitted = 0
        self._last = {
            name: i for i, step in enumerate(steps) for node in step.nodes for name in node.inputs
        }

    def run_float(self, step: Step) -> None:
        """Compute a step of the float network, its value before the activation included."""
        self._run(_part(self._graph, step), self._float)

    def run_emitted(self) -> None:
        """Compute what the integer graph has gained since the last call."""
        nodes = self._builder.nodes[self._emitted :]
        self._emitted = len(self._builder.nodes)
        if not nodes:
            return
        outputs = tuple(name for node in nodes for name in node.outputs if name)
        self._run(self._builder.so_far(nodes, outputs), self._integer)

    def _run(self, part: Graph, values: Values) -> None:
        runner = Runner(part, fragment=True)
        results = [
            runner({name: values[name][i] for name in part.inputs}) for i in range(self._count)
        ]
        for name in part.outputs:
            values[name] = [result[name] for result in results]

    def release(self, index: int) -> None:
        """Forget the values that no step after this one reads."""
        ended = [n for n, last in self._last.items() if last == index]
        for name in ended:
            self._float.pop(name, None)
            self._integer.pop(name, None)
            self._integer.pop(bytes_name(name), None)

    def first_pair(self, step: Step) -> tuple[np.ndarray, np.ndarray]:
        """Return (quantized, float) real values of a step's output on the first batch."""
        exact = self._float[step.output][0]
        if step.sums:
            return self._integer[step.output][0], exact
        return _real(self.stored(step.output)[0], self.feature(step.output)), exact

    def inputs_and_targets(self, step: Step) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield a layer's quantized input and its float output before activation, as reals."""
        x = step.node.inputs[0]
        feature = self._builder.feature(x)
        targets = self._float[step.node.output]
        for stored, target in zip(self._integer[bytes_name(x)], targets, strict=True):
            yield _real(stored, feature), target

    def feature(self, value: str) -> Feature:
        """Return the scale of a tensor's bytes."""
        return self._builder.feature(value)

    def stored(self, value: str) -> Sequence[np.ndarray]:
        """Return the bytes of a tensor, a batch each."""
        return self._integer[bytes_name(value)]


def _real(stored: np.ndarray, feature: Feature) -> np.ndarray:
    return fixed_point.dequantize(stored, feature.frac_bits, feature.zero_point)


def _part(graph: Graph, step: Step) -> Graph:
    """Return the float nodes of a step as a graph of their own."""
    written = {name for node in step.nodes for name in node.outputs}
    read = dict.fromkeys(
        name
        for node in step.nodes
        for name in node.inputs
        if name and name not in written and graph.constant(name) is None
    )
    outputs = tuple(name for name in step.nodes[-1].outputs if name)
    if step.fused:
        outputs = (step.node.output, *outputs)
    return type(graph)(
        name=step.node.name,
        inputs=tuple(read),
        outputs=outputs,
        nodes=step.nodes,
        types=graph.types,
        constants=graph.constants,
        batch_is_free=graph.batch_is_free,
    ).replaced()
