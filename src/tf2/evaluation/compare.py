"""Two levels of execution, value by value: how far apart, and where they first diverge.

A level is anything that gives the values inside a graph by name: the float network, the integer
network, later the simulators. Feature bytes are compared as the numbers they stand for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tf2.data import Samples
from tf2.errors import EngineError
from tf2.ir import FLOAT32, Feature, Graph
from tf2.numerics import fixed_point
from tf2.quantization import bytes_name

Progress = Callable[[str, float], None]


class Level(Protocol):
    """One way to execute a network, open for inspection; a `tf2.Session` is one."""

    @property
    def graph(self) -> Graph:
        """Names and types of its values."""
        ...

    def values(
        self, feeds: Mapping[str, np.ndarray], names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Return values by name for one batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class ValueDifference:
    """How far one value is from the reference's, over all samples.

    Attributes:
        value: Its name in the reference.
        node: The reference's node that writes it.
        op: That node's operator.
        place: "bytes" where the other level holds it as feature bytes, else "float".
        sqnr_db: 10 log10(signal power / error power); infinite where equal.
        cosine: Of the angle between the two; NaN where one is all zeros.
        largest_error: Of one element, absolute.
        largest_value: Of the reference, absolute.
    """

    value: str
    node: str
    op: str
    place: str
    sqnr_db: float
    cosine: float
    largest_error: float
    largest_value: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two levels compared.

    Attributes:
        values: In the reference's order; only those that both levels have.
        limit_db: SQNR below which a value counts as diverged.
        samples: How many were run.
    """

    values: tuple[ValueDifference, ...]
    limit_db: float
    samples: int

    @property
    def first_diverging(self) -> ValueDifference | None:
        """The first value, in execution order, whose SQNR is below the limit."""
        return next((value for value in self.values if value.sqnr_db < self.limit_db), None)


def compare(
    reference: Level,
    other: Level,
    samples: Samples,
    *,
    limit_db: float = 10.0,
    progress: Progress | None = None,
) -> Comparison:
    """Return how far the other level is from the reference, value by value.

    Args:
        reference: Float, or a level above ``other``.
        other: Its value ``v`` is compared as ``v:bytes`` where it has that, else as ``v``.
        samples: Run one at a time: all values of a network are large.
        limit_db: Below it a value has diverged.
        progress: Told the share done.

    Raises:
        EngineError: The levels have no value in common.
        DataError: A sample cannot be used.
    """
    pairs = matching_values(reference.graph, other.graph)
    if not pairs:
        raise EngineError("the two levels have no value in common: they are different networks")
    sums = {name: _Sums() for name in pairs}
    for done, sample in enumerate(samples.batches(1)):
        feeds = sample.feed(reference.graph.inputs)
        expected = reference.values(feeds, pairs)
        found = other.values(
            dict(zip(other.graph.inputs, feeds.values(), strict=True)), pairs.values()
        )
        for name, match in pairs.items():
            sums[name].add(
                _numbers(reference.graph, name, expected[name]),
                _numbers(other.graph, match, found[match]),
            )
        if progress:
            progress("compare", (done + 1) / len(samples))
    values = tuple(_difference(reference.graph, other.graph, n, pairs[n], sums[n]) for n in pairs)
    return Comparison(values=values, limit_db=limit_db, samples=len(samples))


def matching_values(reference: Graph, other: Graph) -> dict[str, str]:
    """Return the name in ``other`` of each value a node of ``reference`` computes and both have."""
    pairs: dict[str, str] = {}
    for node in reference.nodes:
        for name in node.outputs:
            match = next((n for n in _forms(name) if n in other.producers), None)
            if match is None or not _is_number(reference, name) or not _is_number(other, match):
                continue
            if reference.shape(name) == other.shape(match):
                pairs[name] = match
    return pairs


def _forms(name: str) -> Sequence[str]:
    return (bytes_name(name), name) if name else ()


def _is_number(graph: Graph, name: str) -> bool:
    dtype = graph.types[name].dtype
    return dtype == FLOAT32 or isinstance(dtype, Feature)


def _numbers(graph: Graph, name: str, array: np.ndarray) -> np.ndarray:
    dtype = graph.types[name].dtype
    if isinstance(dtype, Feature):
        array = fixed_point.dequantize(array, dtype.frac_bits, dtype.zero_point)
    return array.astype(np.float64).reshape(-1)


@dataclass
class _Sums:
    """Running sums over samples."""

    signal: float = 0.0
    other: float = 0.0
    product: float = 0.0
    error: float = 0.0
    largest_error: float = 0.0
    largest_value: float = field(default=0.0)

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        error = a - b
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.product += float(a @ b)
        self.error += float(error @ error)
        self.largest_error = max(self.largest_error, float(np.abs(error).max(initial=0.0)))
        self.largest_value = max(self.largest_value, float(np.abs(a).max(initial=0.0)))


def _difference(
    reference: Graph, other: Graph, name: str, match: str, sums: _Sums
) -> ValueDifference:
    node = reference.producers[name]
    norm = math.sqrt(sums.signal * sums.other)
    return ValueDifference(
        value=name,
        node=node.name,
        op=node.kind,
        place="bytes" if isinstance(other.types[match].dtype, Feature) else "float",
        sqnr_db=_decibels(sums.signal, sums.error),
        cosine=sums.product / norm if norm > 0 else math.nan,
        largest_error=sums.largest_error,
        largest_value=sums.largest_value,
    )


def _decibels(signal: float, error: float) -> float:
    if error == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / error) if signal > 0.0 else -math.inf
