"""Import with a report: what the model is, whether it was understood, and where it would run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf2.compression.report import support_report
from tf2.errors import EngineError, ImportModelError
from tf2.importers import ImportedModel, InputShapes, load_model
from tf2.importers.check import Difference, largest_difference
from tf2.ir import Graph, Node, Plain
from tf2.model_file import Source, SourceFile, Support
from tf2.passes import canonicalize
from tf2.quantization import partition

TOLERANCES = {"float64": 1e-3, "float32": 1e-3, "float16": 2e-2, "bfloat16": 2e-1}
"""Relative difference from the source beyond which an import counts as wrong, by its precision.

Float32 networks summed in another order differ by 1e-6 to 1e-4, wrong imports by more than 1e-2.
A source of fewer bits rounds each of its features: 2**-11 and 2**-8 of their value.
"""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The imported graph against its source on random input.

    Attributes:
        runtime: What ran the source.
        difference: How far apart they are; None where the source could not be run.
        reason: Why it could not.
    """

    runtime: str
    difference: Difference | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """An imported model and what there is to know before it is compressed.

    Attributes:
        graph: The imported graph.
        source: Where it came from.
        operators: How many nodes of each kind, the most frequent first.
        parameters: Number of float weights.
        macs: Multiply-accumulates of one sample in convolutions and matrix products.
        precision: Element type of the source's weights; the graph itself is in float32.
        check: None when it was not asked for.
        support: Where each node would run, and why.
    """

    graph: Graph
    source: Source
    operators: Mapping[str, int]
    parameters: int
    macs: int
    precision: str
    check: Check | None
    support: tuple[Support, ...]


def inspect_model(
    model: Any,
    *,
    weights: str | Path | None = None,
    input_shapes: InputShapes | None = None,
    outputs: Sequence[str] | None = None,
    check: bool = True,
    seed: int = 0,
) -> ImportReport:
    """Import a model, hold it against its source's own runtime, and say where each node would run.

    Args:
        model: As `tf2.importers.load_model`.
        weights: As there.
        input_shapes: As there.
        outputs: As there.
        check: Run the source as well, where its framework is installed.
        seed: Of the random input.

    Raises:
        ImportModelError: The model cannot be read, or the graph computes something else.
    """
    imported = load_model(model, weights=weights, input_shapes=input_shapes, outputs=outputs)
    graph = imported.graph
    rewritten = canonicalize(graph)
    return ImportReport(
        graph=graph,
        source=source_of(imported),
        operators=dict(Counter(node.kind for node in graph.nodes).most_common()),
        parameters=_parameters(graph),
        macs=sum(_macs(graph, node) for node in graph.nodes),
        precision=imported.precision,
        check=check_import(imported, seed=seed) if check else None,
        support=support_report(graph, rewritten, partition(rewritten.graph)),
    )


def check_import(imported: ImportedModel, *, seed: int) -> Check:
    """Return how far the graph is from its source on random input.

    Raises:
        ImportModelError: Farther than rounding explains: the import is wrong.
    """
    runtime = imported.runtime()
    if runtime.run is None:
        return Check(runtime=runtime.name, reason=runtime.reason)
    try:
        difference = largest_difference(imported.graph, runtime.run, seed=seed)
    except EngineError as error:  # the source does not run, the graph may
        return Check(runtime=runtime.name, reason=str(error))
    if difference.relative > TOLERANCES[imported.precision]:
        worst = max(difference.outputs, key=lambda name: difference.outputs[name].relative)
        raise ImportModelError(
            f"{imported.origin.model}: the imported graph does not compute what {runtime.name} "
            f"computes: output {worst!r} differs by {difference.absolute:.3g} "
            f"({difference.relative:.2g} of its largest value). This is a fault of TF2: please "
            f"report the model; --no-check goes on regardless"
        )
    return Check(runtime=runtime.name, difference=difference)


def source_of(imported: ImportedModel) -> Source:
    """Return what a ``.tf2`` file records of where a model came from."""
    origin = imported.origin
    return Source(
        name=imported.graph.name,
        format=origin.format,
        model=origin.model,
        weights=origin.weights,
        input_shapes=dict(origin.input_shapes),
        outputs=origin.outputs,
        files=tuple(SourceFile(path=f.path, sha256=f.sha256, bytes=f.bytes) for f in origin.files),
    )


def float_weights(graph: Graph) -> int:
    """Return how many float constants the graph's nodes read: its parameters."""
    return _parameters(graph)


def _parameters(graph: Graph) -> int:
    read = {name for node in graph.nodes for name in node.inputs if name in graph.constants}
    return sum(graph.constants[name].size for name in read if _is_float(graph, name))


def _is_float(graph: Graph, name: str) -> bool:
    dtype = graph.types[name].dtype
    return isinstance(dtype, Plain) and dtype.name in ("float32", "float64", "float16", "bfloat16")


def _macs(graph: Graph, node: Node) -> int:
    """Products of one node for one sample; 0 for operators that are no sums of products."""
    if node.kind not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    x, w = graph.shape(node.inputs[0]), graph.shape(node.inputs[1])
    out = graph.types[node.output].size
    if node.kind == "Conv":
        return out * int(np.prod(w[1:]))
    if node.kind == "ConvTranspose":
        return graph.types[node.inputs[0]].size * int(np.prod(w[1:]))
    if node.kind == "Gemm":
        return out * int(x[0] if node.attr("transA", 0) else x[-1])
    return out * int(x[-1])
