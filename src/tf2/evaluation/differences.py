"""Two levels that must agree bit for bit: the first element of the first layer that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tf2.data import Samples
from tf2.errors import EngineError
from tf2.evaluation.compare import Level
from tf2.ir import INT32, Feature, Graph

Progress = Callable[[str, float], None]


class PartlyVisible(Level, Protocol):
    """A level that cannot show every value: on the array some exist only between two units."""

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the names that it can show."""
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One value that two levels do not agree on.

    Attributes:
        value: Its name in the integer graph.
        node: The node that writes it.
        op: That node's operator.
        sample: Number of the sample.
        index: Of the first element that differs, (channel, ...) of the sample.
        expected: That element in the reference.
        found: That element in the other level.
        differing: Elements that differ.
        size: Elements of the value.
    """

    value: str
    node: str
    op: str
    sample: int
    index: tuple[int, ...]
    expected: int
    found: int
    differing: int
    size: int


@dataclass(frozen=True, kw_only=True)
class ExactComparison:
    """Two integer levels compared.

    Attributes:
        values: Names that both levels can show, in execution order.
        compared: Elements compared, over all samples.
        differences: In execution order, sample by sample.
        samples: How many were run.
    """

    values: tuple[str, ...]
    compared: int
    differences: tuple[Difference, ...]
    samples: int

    @property
    def first(self) -> Difference | None:
        """The first difference of the first sample that has one."""
        return self.differences[0] if self.differences else None


def exact_differences(
    reference: Level, other: PartlyVisible, samples: Samples, *, progress: Progress | None = None
) -> ExactComparison:
    """Return where two levels of one integer graph differ: integers have no tolerance.

    Args:
        reference: Usually engine "int".
        other: Usually "functional" or "rtl".
        samples: Run one at a time.
        progress: Told the share done.

    Raises:
        EngineError: The levels run different graphs.
        DataError: A sample cannot be used.
    """
    graph = reference.graph
    if graph.inputs != other.graph.inputs or graph.outputs != other.graph.outputs:
        raise EngineError("the two levels run different networks")
    names = other.visible(integer_values(graph))
    differences: list[Difference] = []
    compared = 0
    for number, sample in enumerate(samples.batches(1)):
        feeds = sample.feed(graph.inputs)
        expected, found = reference.values(feeds, names), other.values(feeds, names)
        for name in names:
            compared += expected[name].size
            difference = _difference(graph, name, number, expected[name], found[name])
            if difference is not None:
                differences.append(difference)
        if progress:
            progress("compare", (number + 1) / len(samples))
    return ExactComparison(
        values=names, compared=compared, differences=tuple(differences), samples=len(samples)
    )


def integer_values(graph: Graph) -> tuple[str, ...]:
    """Return the features and int32 sums that nodes of the graph write, in execution order."""
    return tuple(
        name
        for node in graph.nodes
        for name in node.outputs
        if name
        and (isinstance(graph.types[name].dtype, Feature) or graph.types[name].dtype == INT32)
    )


def _difference(
    graph: Graph, name: str, sample: int, expected: np.ndarray, found: np.ndarray
) -> Difference | None:
    wrong = np.argwhere(expected != found)
    if not len(wrong):
        return None
    node, index = graph.producers[name], tuple(int(i) for i in wrong[0])
    return Difference(
        value=name,
        node=node.name,
        op=node.kind,
        sample=sample,
        index=index[1:],
        expected=int(expected[index]),
        found=int(found[index]),
        differing=len(wrong),
        size=expected.size,
    )
