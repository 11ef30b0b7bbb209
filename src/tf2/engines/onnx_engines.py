"""The engines "float" and "int": graphs in ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tf2.engines.inputs import check_finite
from tf2.engines.registry import register_engine
from tf2.engines.source import load_source
from tf2.engines.target import Target
from tf2.errors import EngineError
from tf2.execution import Runner
from tf2.importers import load_model
from tf2.ir import Graph
from tf2.ir.integer_ops import DOMAIN


class GraphExecutable:
    """A graph in ONNX Runtime.

    Args:
        graph: Verified.
        threads: Of one operator; 0 takes every core.
        integers: Refuse NaN and infinity, which have no integer.
    """

    def __init__(self, graph: Graph, threads: int, *, integers: bool = False) -> None:
        self.graph = graph
        self._threads = threads
        self._integers = integers
        self._runner = Runner(graph, threads=threads)
        self._inspector: tuple[tuple[str, ...], Runner] | None = None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return every output for one checked batch."""
        if self._integers:
            check_finite(feeds)
        return self._runner(feeds)

    def values(
        self, feeds: Mapping[str, np.ndarray], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Return any values of the graph for one batch."""
        wanted = tuple(names)
        if self._inspector is None or self._inspector[0] != wanted:
            runner = Runner(self.graph, outputs=wanted, threads=self._threads)
            self._inspector = (wanted, runner)
        return self._inspector[1](feeds)

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names: every value can be seen."""
        return tuple(names)


def integer_engine(target: Target, threads: int) -> GraphExecutable:
    """Return the integer network; exact against `tf2.numerics`.

    Raises:
        EngineError: What is to be run is not compressed.
    """
    if target.compressed is not None:
        return GraphExecutable(target.compressed.graph, threads, integers=True)
    if target.graph is not None:
        return GraphExecutable(target.graph, threads, integers=True)
    raise EngineError(
        f"{target.name} is not compressed: engine 'int' runs .tf2 files. Make one by tf2 compress, "
        "or use engine 'float'"
    )


def float_engine(target: Target, threads: int) -> GraphExecutable:
    """Return the imported float network as given.

    Raises:
        EngineError: The source of a compressed model cannot be found or has changed.
        ImportModelError: The float model cannot be read.
    """
    if target.compressed is not None:
        graph = load_source(target.compressed, folder=target.folder, override=target.source)
        return GraphExecutable(graph, threads)
    if target.graph is None:
        assert isinstance(target.source, str)  # a target is one of the three
        return GraphExecutable(load_model(target.source).graph, threads)
    if any(node.domain == DOMAIN for node in target.graph.nodes):
        raise EngineError(
            f"graph {target.name!r} has integer operators: use engine 'int', "
            "or pass the float graph"
        )
    return GraphExecutable(target.graph, threads)


register_engine("int", integer_engine)
register_engine("float", float_engine)
