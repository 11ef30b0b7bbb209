"""A pruned network: what became of it, in figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tf2.errors import PruningError
from tf2.execution import to_onnx
from tf2.ir import Graph
from tf2.model_file import atomic_write

if TYPE_CHECKING:
    from tf2.pruning.recipe import PruningRecipe
    from tf2.training.loop import Validation


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A float network before or after pruning.

    Attributes:
        flops: Multiply-accumulates of one sample by weights that are not zero.
        params: Weights and biases that are not zero.
        zeros: Weights that are zero.
        cycles: A frame on the overlay, by the cycle model; None without an overlay.
        top1: On the validation samples, 0..1; None without them.
    """

    flops: int
    params: int
    zeros: int
    cycles: int | None
    top1: float | None


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """A pruned network.

    Attributes:
        graph: Float, smaller or with zeros.
        before: The network as given.
        after: The pruned one.
        epochs: Figures of each epoch.
        widths: Channels of each layer, read and written, before and after; (0, 0) of one that
            is gone.
        recipe: What it was made by.
        overlay: What cycles are of; "" without.
        seconds: It took.
    """

    graph: Graph
    before: Figures
    after: Figures
    epochs: tuple[Mapping[str, Any], ...]
    widths: Mapping[str, tuple[tuple[int, int], tuple[int, int]]]
    recipe: PruningRecipe
    overlay: str
    seconds: float

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the network as ONNX, whole or not at all, and return the size in bytes.

        Raises:
            PruningError: The file cannot be written.
        """
        content = to_onnx(self.graph).SerializeToString()
        try:
            with atomic_write(path) as file:
                file.write(content)
        except OSError as error:
            raise PruningError(f"{path} cannot be written: {error.strerror or error}") from error
        return len(content)

    def report(self) -> dict[str, Any]:
        """Return everything but the network, ready for JSON."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "overlay": self.overlay,
            "widths": {name: list(pair) for name, pair in self.widths.items()},
            "epochs": [dict(row) for row in self.epochs],
            "recipe": self.recipe.model_dump(mode="json"),
            "seconds": self.seconds,
        }


def figures_of(
    graph: Graph,
    outputs: tuple[str, ...] | None,
    validation: Validation | None,
    cycles: Callable[[Graph], int] | None,
) -> Figures:
    """Return the figures of a float network.

    Args:
        graph: The network.
        outputs: Values that the validation reads; None: the network's own.
        validation: Measures top-1 of a module; None: not measured.
        cycles: Counts a frame's; None: not counted.
    """
    from tf2.pruning.cost import size_of
    from tf2.training.module import GraphModule

    size = size_of(graph)
    top1 = None
    if validation is not None:
        top1 = validation(GraphModule(graph, outputs=outputs).eval())
    return Figures(
        flops=size.flops,
        params=size.params,
        zeros=size.zeros,
        cycles=cycles(graph) if cycles else None,
        top1=top1,
    )


def widths_compared(
    before: Graph, after: Graph
) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Return (read, written) channels of each layer, before and after."""
    from tf2.pruning.cost import LAYERS

    def widths(graph: Graph) -> dict[str, tuple[int, int]]:
        layers = [n for n in graph.nodes if n.kind in LAYERS and n.inputs[1] in graph.constants]
        return {
            n.name: (graph.shape(n.inputs[0])[1], graph.shape(n.output)[1])
            for n in layers
            if len(graph.shape(n.output)) > 1
        }

    smaller = widths(after)
    return {name: (pair, smaller.get(name, (0, 0))) for name, pair in widths(before).items()}
