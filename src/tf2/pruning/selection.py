"""Which classes of channels to take out: the least important for what they cost, first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tf2.errors import PruningError
from tf2.ir import Graph
from tf2.pruning.cost import size_of
from tf2.pruning.coupling import Coupling, Layer
from tf2.pruning.groups import groups_of
from tf2.pruning.slicing import dead_layers, without_classes

Cycles = Callable[[Graph], float]
"""Of a float network on an overlay; comes from outside: this package knows no overlay."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """The numbers of channels that an overlay likes.

    Attributes:
        multiple: Channels stay a multiple of it; layers of fewer channels stay as wide as they
            are, or go entirely.
        outputs: Output channels computed at once.
        inputs: Input channels summed at once.
    """

    multiple: int = 8
    outputs: int = 1
    inputs: int = 1


class Selection:
    """Choices for one network.

    Args:
        coupling: Of its graph.
        widths: That channels should have.
        measure: What the target is of.
        cycles: For a target in cycles.
        keep: Layers whose channels, read and written, all stay.
    """

    def __init__(
        self,
        coupling: Coupling,
        *,
        widths: Widths,
        measure: str,
        cycles: Cycles | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        self.coupling = coupling
        self.widths = widths
        self.measure = measure
        self._cycles = cycles
        names = [layer.node.name for layer in coupling.layers]
        unknown = [name for name in keep if name not in names]
        if unknown:
            raise PruningError(
                f"layer {unknown[0]!r} is to stay whole, but there is no such layer. Layers with "
                f"weights: {', '.join(names)}"
            )
        self.groups = groups_of(coupling, keep)
        if not self.groups:
            raise PruningError(
                f"{coupling.graph.name!r} has no channels that could be taken out: its layers are "
                "read by operators that need all of them, or meet the network's outputs"
            )

    @cached_property
    def base(self) -> float:
        """The measure of the whole network."""
        return self.cost(self.everything)

    @property
    def everything(self) -> np.ndarray:
        """All classes, as ``kept``."""
        return np.ones(self.coupling.count, bool)

    def cost(self, kept: np.ndarray) -> float:
        """Return the measure of the network with these classes, exactly."""
        graph = without_classes(self.coupling, kept)
        if self.measure == "cycles":
            assert self._cycles is not None, "given with a target in cycles"
            return self._cycles(graph)
        size = size_of(graph)
        return size.params if self.measure == "params" else size.flops

    def checked(self, target: float) -> None:
        """Raise PruningError if the network cannot be so small, a share of the whole."""
        whole = self.everything
        *_, least = [whole, *self.steps(whole, np.ones(self.coupling.count))]
        share = self.cost(least) / self.base
        if share > target:
            raise PruningError(
                f"{self.measure} = {target:g} cannot be reached: with every channel taken out "
                f"that may be, {share:.3f} are left (widths stay multiples of "
                f"{self.widths.multiple}). Choose a target from {np.ceil(share * 100) / 100:.2f} "
                "on, or a smaller multiple (--round-to)"
            )

    def chosen(self, scores: np.ndarray, target: float, start: np.ndarray) -> np.ndarray:
        """Return the classes that stay at a target, exactly measured.

        The least important choices go; where the last of them saved more than there was need for,
        earlier ones come back as long as the target allows it, the most important first.

        Args:
            scores: Importance of each class.
            target: Share of the measure that is left.
            start: Classes there still are.
        """
        path = [start, *self.steps(start, scores)]
        low, high = 0, len(path) - 1  # the first that is small enough, found by halving
        while low < high:
            middle = (low + high) // 2
            if self.cost(path[middle]) <= target * self.base:
                high = middle
            else:
                low = middle + 1
        kept = path[low]
        for less, more in zip(path[low - 1 :: -1], path[low:0:-1], strict=True) if low else ():
            trial = kept | (less & ~more)
            self._close(trial)
            if not np.array_equal(trial, kept) and self.cost(trial) <= target * self.base:
                kept = trial
        return kept

    def roughly_chosen(self, scores: np.ndarray, target: float, start: np.ndarray) -> np.ndarray:
        """Return `chosen` by the layers' own cost, which takes no time."""
        wanted = target * self._rough_cost(self.everything)
        path = itertools.chain([start], self.steps(start, scores))
        fewer = itertools.dropwhile(lambda kept: self._rough_cost(kept) > wanted, path)
        return next(fewer, start)

    def steps(self, start: np.ndarray, scores: np.ndarray) -> Iterator[np.ndarray]:
        """Yield ever fewer kept classes, the best choice first, until nothing more can go."""
        kept = start.copy()
        costs = [self._layer_cost(layer, kept) for layer in self.coupling.layers]
        offers = {i: self._offer(i, kept, scores, costs) for i in range(len(self.groups))}
        while True:
            open_ = {i: offer for i, offer in offers.items() if offer is not None}
            if not open_:
                return
            best = min(open_, key=lambda i: (open_[i][0], i))
            kept[open_[best][1]] = False
            self._close(kept)
            for index in self.groups[best].touched:
                costs[index] = self._layer_cost(self.coupling.layers[index], kept)
            touched = set(self.groups[best].touched)
            for i, group in enumerate(self.groups):
                if touched.intersection(group.touched):
                    offers[i] = self._offer(i, kept, scores, costs)
            yield kept.copy()

    def _offer(
        self, index: int, kept: np.ndarray, scores: np.ndarray, costs: Sequence[float]
    ) -> tuple[float, np.ndarray] | None:
        """Return the importance lost for each unit saved, and the classes that would go."""
        group = self.groups[index]
        present = group.classes[kept[group.classes]]
        width = len(present)
        if width == 0:
            return None
        multiple = self.widths.multiple // math.gcd(self.widths.multiple, group.channels)
        left = (width - 1) // multiple * multiple
        order = present[np.argsort(scores[present], kind="stable")]
        gone = order[: width - left]
        trial = kept.copy()
        trial[gone] = False
        if not group.removable and not all(trial[value].any() for value in group.values):
            return None
        layers = self.coupling.layers
        saved = sum(costs[i] - self._layer_cost(layers[i], trial) for i in group.touched)
        return float(scores[gone].sum()) / max(saved, 1e-9), gone

    def _rough_cost(self, kept: np.ndarray) -> float:
        return sum(self._layer_cost(layer, kept) for layer in self.coupling.layers)

    def _layer_cost(self, layer: Layer, kept: np.ndarray) -> float:
        inputs, outputs = int(kept[layer.columns].sum()), int(kept[layer.writes].sum())
        if not kept[layer.reads].any():
            return 0.0
        if self.measure == "params":
            return outputs * (inputs * layer.taps + 1)
        if self.measure == "cycles" and not layer.depthwise:
            inputs = -(-inputs // self.widths.inputs) * self.widths.inputs
            outputs = -(-outputs // self.widths.outputs) * self.widths.outputs
        return float(layer.uses * layer.taps * inputs * outputs)

    def _close(self, kept: np.ndarray) -> None:
        """Take out what only layers would read that read nothing else any more."""
        while True:
            dead = set(dead_layers(self.coupling, kept))
            useless = [
                n
                for n in self.coupling.layers
                if n.node.name not in dead and not kept[n.writes].any()
            ]
            fresh = [n for n in useless if self._only_reader(n, dead) and kept[n.reads].any()]
            if not fresh:
                return
            for layer in fresh:
                kept[layer.reads] = False

    def _only_reader(self, layer: Layer, dead: set[str]) -> bool:
        others = [n for n in self.coupling.layers if n is not layer and n.node.name not in dead]
        read = set(layer.reads.tolist())
        pinned = self.coupling.pinned[layer.reads].any()
        return not pinned and not any(read.intersection(n.reads.tolist()) for n in others)
