"""Classes of channels that may stand for each other: what widths are counted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tf2.pruning.coupling import Coupling


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Classes that may stand for each other: the same layers read and write them.

    Attributes:
        classes: They, (width,).
        readers: Layers that sum over them, as positions in the coupling's.
        touched: Layers whose cost depends on them.
        values: Classes of each value that has some of them.
        channels: That each class stands for; several where a grouped layer joins them.
        removable: All may go: what reads them is a branch with an add behind it.
    """

    classes: np.ndarray
    readers: tuple[int, ...]
    touched: tuple[int, ...]
    values: tuple[np.ndarray, ...]
    channels: int
    removable: bool


def groups_of(coupling: Coupling, keep: Sequence[str]) -> tuple[Group, ...]:
    """Return the groups that may lose classes.

    Args:
        coupling: Of a network.
        keep: Layers whose channels, read and written, all stay.
    """
    fixed = coupling.pinned.copy()
    reads = [np.unique(layer.reads) for layer in coupling.layers]
    writes = [np.unique(layer.writes) for layer in coupling.layers]
    for index, layer in enumerate(coupling.layers):
        if layer.node.name in keep:
            fixed[reads[index]] = fixed[writes[index]] = True
    values = {tuple(ids.tolist()) for ids in coupling.classes.values()}
    signatures: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for number in np.flatnonzero(~fixed).tolist():
        by = tuple(i for i, found in enumerate(reads) if number in found)
        of = tuple(i for i, found in enumerate(writes) if number in found)
        if any(not coupling.layers[i].depthwise for i in by):
            signatures.setdefault((by, of), []).append(number)
    groups: list[Group] = []
    for (by, of), classes in signatures.items():
        held = tuple(np.array(v) for v in values if not set(classes).isdisjoint(v))
        groups.append(
            Group(
                classes=np.array(classes, np.int64),
                readers=tuple(i for i in by if not coupling.layers[i].depthwise),
                touched=tuple(sorted({*by, *of})),
                values=held,
                channels=min(int((value == classes[0]).sum() or len(value)) for value in held),
                removable=_removable(coupling, by, np.array(classes)),
            )
        )
    return tuple(groups)


def _removable(coupling: Coupling, readers: Sequence[int], classes: np.ndarray) -> bool:
    """Return whether the classes are all that a residual branch reads, and no layer anything else.

    The other operand of the add must not come straight from a layer: it might be removed as well.
    """
    graph = coupling.graph
    for index in readers:
        layer = coupling.layers[index]
        if layer.depthwise:
            continue
        if not np.isin(layer.reads, classes).all():
            return False
        add = graph.sole_user(layer.node.output)
        if add is None or add.op != "Add":
            return False
        (other,) = [n for n in add.inputs if n != layer.node.output] or [""]
        producer = graph.producers.get(other)
        if producer is None or producer.kind in ("Conv", "Gemm", "MatMul"):
            return False
    return True
