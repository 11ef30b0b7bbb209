"""The engines by name. A new one (a simulator, a board) registers a function and is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np

from tf2.engines.target import Target
from tf2.errors import EngineError
from tf2.ir import Graph


class Executable(Protocol):
    """A model made ready to run on one engine."""

    @property
    def graph(self) -> Graph:
        """Its inputs and outputs, and the names of the values in between."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return every output for one checked batch."""
        ...

    def values(
        self, feeds: Mapping[str, np.ndarray], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Return any values of the graph for one batch, features as int8 bytes; may be slow."""
        ...

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the graph's values that `values` can give here."""
        ...


EngineFactory = Callable[[Target, int], Executable]
"""From what to run and the number of threads (0: all) to something that runs."""

_ENGINES: dict[str, EngineFactory] = {}


def register_engine(name: str, factory: EngineFactory) -> None:
    """Make an engine known to `tf2.Session` by its name, which no other may have."""
    if name in _ENGINES:
        raise ValueError(f"engine {name!r} is registered already")
    _ENGINES[name] = factory


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, sorted."""
    return tuple(sorted(_ENGINES))


def make_executable(name: str, target: Target, threads: int) -> Executable:
    """Return the model made ready on the engine of that name.

    Raises:
        EngineError: There is no such engine, or it cannot run this.
    """
    if name not in _ENGINES:
        raise EngineError(f"there is no engine {name!r}; engines are {', '.join(engine_names())}")
    if threads < 0:
        raise EngineError(f"threads must be 0 (all) or more, not {threads}")
    return _ENGINES[name](target, threads)
