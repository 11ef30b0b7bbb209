"""Makes axis 0 a free batch where the network allows it, and proves that on numbers.

Exporters bake the batch of their example input into Reshape targets. A target is rewritten only
to one that means the same for the file's batch; whether it also means the right thing for others
is then settled by running one and two samples.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tf2.errors import EngineError, ImportModelError, UnsupportedOpError, VerifyError
from tf2.execution import Runner, to_onnx
from tf2.execution.runner import ort_session
from tf2.importers.check import random_feeds
from tf2.importers.onnx.draft import Draft
from tf2.importers.onnx.infer import Walk, array_type, walk
from tf2.importers.onnx.simplify import as_constants, simplified
from tf2.importers.onnx.single import refusal
from tf2.ir import FLOAT32, Graph, Node, verify

logger = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]

MAX_PROOF_BYTES = 2**31
"""Of all values of one sample; the batch of a larger network stays fixed."""

MAX_PROOF_EDGE_BYTES = 2**28
"""Of all inputs and outputs of one sample."""

MAX_PROOF_MACS = 3 * 10**11

PROOF_TOLERANCE = 1e-4
"""Relative to the largest output: matrix products are blocked differently for other batches."""


def settled(draft: Draft, shapes: Shapes) -> Graph:
    """Return the graph, its batch free if that is proven, else as large as in ``shapes``.

    Raises:
        ImportModelError: The network does not fit the shapes, or an operator cannot run.
    """
    first = walk(draft, shapes)
    try:
        return _with_free_batch(draft, shapes, first)
    except (ImportModelError, EngineError, VerifyError) as error:
        logger.info("%s: the batch stays fixed: %s", draft.name, error)
    folded = as_constants(draft, first.known)
    graph = graph_of(simplified(folded, first), first, batch_is_free=False)
    _check_runs(graph)
    return graph


def graph_of(draft: Draft, found: Walk, *, batch_is_free: bool) -> Graph:
    """Return a draft as a verified graph."""
    values = {
        *draft.inputs,
        *draft.outputs,
        *(name for node in draft.nodes for name in (*node.inputs, *node.outputs) if name),
    }
    types = {name: t for name, t in found.types.items() if name in values}
    types |= {n: array_type(c, what=n) for n, c in draft.constants.items() if n not in types}
    return verify(
        Graph(
            name=draft.name,
            inputs=tuple(draft.inputs),
            outputs=draft.outputs,
            nodes=draft.nodes,
            types=types,
            constants=draft.constants,
            batch_is_free=batch_is_free,
        )
    )


def _with_free_batch(draft: Draft, shapes: Shapes, first: Walk) -> Graph:
    batch = _common_batch(draft, first)
    draft = _unbaked(as_constants(draft, _independent(draft, first)), first, batch)
    walks: list[Walk] = []
    for size in (1, 2, 3):
        resized = {name: (size, *shape[1:]) for name, shape in shapes.items()}
        walks.append(walk(draft, resized, walks[0] if walks else None))
        for name in draft.outputs:
            if walks[-1].types[name].shape[:1] != (size,):
                raise ImportModelError(f"axis 0 of output {name!r} does not follow the batch")
    one = walks[0]
    same = {name: array for name, array in one.known.items() if _same(name, array, walks)}
    draft = as_constants(_batch_targets(draft, walks), same)
    graph = graph_of(simplified(draft, one), one, batch_is_free=True)
    _prove(graph)
    return graph


def _common_batch(draft: Draft, first: Walk) -> int:
    names = (*draft.inputs, *draft.outputs)
    sizes = {first.types[name].shape[:1] for name in names}
    if len(sizes) != 1 or sizes == {()}:
        raise ImportModelError(f"inputs and outputs have no common size on axis 0: {sizes}")
    return sizes.pop()[0]


def _independent(draft: Draft, first: Walk) -> dict[str, np.ndarray]:
    """Return the computed values in which no shape of a changing value takes part."""
    free: dict[str, np.ndarray] = dict(draft.constants)
    for node in draft.nodes:
        outputs = [name for name in node.outputs if name]
        if all(n in first.known for n in outputs) and all(n in free for n in node.inputs if n):
            free.update({name: first.known[name] for name in outputs})
    return free


def _same(name: str, array: np.ndarray, walks: list[Walk]) -> bool:
    others = [w.known.get(name) for w in walks[1:]]
    return all(
        o is array or (o is not None and o.shape == array.shape and np.array_equal(o, array))
        for o in others
    )


def _unbaked(draft: Draft, first: Walk, batch: int) -> Draft:
    """Rewrite constant Reshape targets so that axis 0 may grow; the same for the file's batch."""
    constants: dict[str, np.ndarray] = {}
    nodes: list[Node] = []
    for node in draft.nodes:
        target = draft.constants.get(node.inputs[1]) if _is_reshape(node) else None
        new = None
        if target is not None:
            shape = first.types[node.output].shape
            new = _open_target(target.tolist(), shape, batch)
        if new is not None:
            node = _with_target(node, new, constants, {*first.types, *constants})
        nodes.append(node)
    return draft.with_nodes(nodes, constants)


def _is_reshape(node: Node) -> bool:
    return node.op == "Reshape" and not node.domain and not node.attr("allowzero", 0)


def _open_target(target: list[int], shape: tuple[int, ...], batch: int) -> list[int] | None:
    """Return a target whose axis 0 takes what the other axes leave; None to keep the old one."""
    if not target or target[0] in (0, -1) or 0 in shape:
        return None
    if -1 in target and target[0] != batch:
        return None  # another axis already takes the batch
    return [-1, *(0 if old == 0 else size for old, size in zip(target[1:], shape[1:], strict=True))]


def _with_target(
    node: Node, target: list[int], constants: dict[str, np.ndarray], taken: set[str]
) -> Node:
    name = f"{node.output}.shape"
    while name in taken:
        name += "_"
    constants[name] = np.array(target, np.int64)
    return replace(node, inputs=(node.inputs[0], name))


def _batch_targets(draft: Draft, walks: list[Walk]) -> Draft:
    """Give a Reshape whose computed target follows the batch a constant target instead."""
    constants: dict[str, np.ndarray] = {}
    nodes: list[Node] = []
    for node in draft.nodes:
        if _is_reshape(node) and all(node.inputs[1] in w.known for w in walks):
            targets = np.stack([w.known[node.inputs[1]] for w in walks])
            inputs = [w.types[node.inputs[0]].shape for w in walks]
            new = _following_target(targets, inputs)
            if new is not None:
                node = _with_target(node, new, constants, {*walks[0].types, *constants})
        nodes.append(node)
    return draft.with_nodes(nodes, constants)


def _following_target(targets: np.ndarray, inputs: list[tuple[int, ...]]) -> list[int] | None:
    moving = np.flatnonzero((targets != targets[0]).any(axis=0))
    if len(moving) != 1:
        return None
    axis, new = int(moving[0]), targets[0].tolist()
    if all(axis < len(s) and s[axis] == t[axis] for s, t in zip(inputs, targets, strict=True)):
        new[axis] = 0
    elif -1 not in new:
        new[axis] = -1
    else:
        return None
    return new


def _check_runs(graph: Graph) -> None:
    """Raise, naming the node, when ONNX Runtime cannot run an operator, or not on these shapes."""
    try:
        Runner(graph, threads=1)
    except EngineError as error:
        for node in graph.nodes:
            reason = refusal(node, graph)
            if reason:
                raise UnsupportedOpError(
                    node=node.name,
                    op=node.kind,
                    reason=f"ONNX Runtime cannot run it: {reason}",
                    hint="Export the model in float32 or without it.",
                ) from error
        raise ImportModelError(str(error)) from error
    inputs = [graph.types[name] for name in graph.inputs]
    if _is_costly(graph) or any(t.dtype != FLOAT32 or len(t.shape) < 2 for t in inputs):
        return  # random integers or scalars may be nothing that the network can use
    session = ort_session(to_onnx(graph), optimize=False)  # optimized, it renames the nodes
    try:
        session.run(None, random_feeds(graph, np.random.default_rng(0)))
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        shapes = ", ".join(f"{name} {graph.shape(name)}" for name in graph.inputs)
        raise ImportModelError(
            f"the network does not fit its input shapes, {shapes}: {error}"
        ) from error


def _prove(graph: Graph) -> None:
    """Raise when two samples together do not give what each gives alone."""
    if _is_costly(graph):
        raise ImportModelError("it is too large to try")
    run = Runner(graph, threads=1)
    both = random_feeds(graph, np.random.default_rng(0), batch=2)
    together = run(both)
    for row in (0, 1):
        alone = run({name: array[row : row + 1] for name, array in both.items()})
        for name, array in alone.items():
            if not _close(together[name][row : row + 1], array):
                raise ImportModelError(f"output {name!r} of a sample depends on its batch")


def _is_costly(graph: Graph) -> bool:
    """Tell whether a run would take minutes, or gigabytes."""
    return (
        sum(t.size * 4 for t in graph.types.values()) > MAX_PROOF_BYTES
        or sum(graph.types[n].size * 4 for n in graph.inputs + graph.outputs) > MAX_PROOF_EDGE_BYTES
        or sum(_macs(graph, node) for node in graph.nodes) > MAX_PROOF_MACS
    )


def _macs(graph: Graph, node: Node) -> int:
    """Return about how many products a node takes."""
    if not node.output:
        return 0
    out = graph.types[node.output]
    if node.op == "DFT":
        return out.size * max(out.shape, default=1)
    if len(node.inputs) < 2 or not node.inputs[1]:
        return out.size
    weight = graph.types[node.inputs[1]]
    if node.op in ("Conv", "ConvTranspose"):
        image = graph.types[node.inputs[0]] if node.op == "ConvTranspose" else out
        return image.size * weight.size // max(weight.shape[0], 1)
    if node.op in ("Gemm", "MatMul"):
        return out.size * max(graph.types[node.inputs[0]].shape[-1:], default=1)
    return out.size


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape:
        return False
    if expected.dtype.kind in "OSU":
        return np.array_equal(found, expected)
    if expected.dtype.kind not in "fc":
        # A value on the edge between two integers may round either way.
        return np.mean(found != expected) <= PROOF_TOLERANCE
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    return np.allclose(found, expected, rtol=0, atol=PROOF_TOLERANCE * scale, equal_nan=True)
