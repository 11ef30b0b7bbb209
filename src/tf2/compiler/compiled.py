"""A compiled network: host and array segments in turn, and what was decided about every node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.execution import Runner
from tf2.ir import Graph
from tf2.isa.program import Program

Arrays = dict[str, np.ndarray]
Where = Literal["array", "fused", "view", "host"]


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What became of one node.

    Attributes:
        node: Its name.
        kind: Its operator.
        where: "array": a layer is named after it; "fused": into the layer `into`; "view": read
            where it is; "host".
        into: Name of the layer, or "".
        reason: Why there.
    """

    node: str
    kind: str
    where: Where
    into: str = ""
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class HostSegment:
    """Nodes that the host computes.

    Attributes:
        graph: Of these nodes; inputs and outputs are values of the whole graph.
    """

    graph: Graph


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerEstimate:
    """Cycles of one layer by the plan: `cycles` when filters and features are there in time.

    Attributes:
        name: Of the layer.
        cycles: With what lies between two layers.
        macs: Useful multiply-accumulates.
        instructions: Into how many it was cut.
    """

    name: str
    cycles: int
    macs: int
    instructions: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySegment:
    """A program and what its maps are in the graph.

    Attributes:
        program: For one sample.
        inputs: Values of the graph that are read.
        outputs: Values that are given out.
        estimates: Of each layer.
        cycles: Estimate of a run, loads and stores included.
        spilled: Maps that go through DDR.
    """

    program: Program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    estimates: tuple[LayerEstimate, ...] = field(repr=False)
    cycles: int
    spilled: tuple[str, ...]


Segment = HostSegment | ArraySegment


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """A network for one overlay.

    Attributes:
        graph: The integer graph.
        config: The overlay.
        segments: In order.
        nodes: What became of each node, in graph order.
    """

    graph: Graph
    config: OverlayConfig
    segments: tuple[Segment, ...]
    nodes: tuple[NodeReport, ...]

    @property
    def arrays(self) -> tuple[ArraySegment, ...]:
        """The segments that run on the array."""
        return tuple(s for s in self.segments if isinstance(s, ArraySegment))

    @property
    def cycles(self) -> int:
        """Estimate of all array segments."""
        return sum(segment.cycles for segment in self.arrays)


RunProgram = Callable[[ArraySegment, NDArray[np.uint8]], None]
"""Runs a program on an arena, in place."""


class CompiledRunner:
    """Runs a compiled network, sample by sample; host parts in ONNX Runtime.

    Args:
        compiled: The network.
        run_program: A device.
        threads: Of one operator of the host; 0 takes every core.
    """

    def __init__(
        self, compiled: CompiledModel, run_program: RunProgram, *, threads: int = 1
    ) -> None:
        self.compiled = compiled
        self._run_program = run_program
        self._runners = [
            Runner(segment.graph, threads=threads) if isinstance(segment, HostSegment) else None
            for segment in compiled.segments
        ]

    def __call__(self, feeds: Mapping[str, np.ndarray], extra: Iterable[str] = ()) -> Arrays:
        """Return the graph's outputs, and those of `extra` that were seen, for one batch."""
        graph = self.compiled.graph
        if not graph.batch_is_free:
            return self._sample(feeds, extra)
        count = len(next(iter(feeds.values())))
        samples = [
            self._sample({name: array[i : i + 1] for name, array in feeds.items()}, extra)
            for i in range(count)
        ]
        return {name: np.concatenate([s[name] for s in samples]) for name in samples[0]}

    def _sample(self, feeds: Mapping[str, np.ndarray], extra: Iterable[str]) -> Arrays:
        graph = self.compiled.graph
        values: Arrays = {**graph.constants, **feeds}
        for segment, runner in zip(self.compiled.segments, self._runners, strict=True):
            if isinstance(segment, ArraySegment):
                values.update(self._array(segment, values))
                continue
            assert runner is not None
            values.update(runner({name: values[name] for name in segment.graph.inputs}))
        return {name: values[name] for name in (*graph.outputs, *extra) if name in values}

    def _array(self, segment: ArraySegment, values: Arrays) -> Arrays:
        program, graph = segment.program, self.compiled.graph
        arena = program.arena()
        for port in program.inputs:
            port.write(np.ascontiguousarray(values[port.name]), arena, program.config)
        self._run_program(segment, arena)
        results: Arrays = {}
        for port in program.outputs:
            results[port.name] = port.read(arena, program.config).reshape(graph.shape(port.name))
        return results
