"""Any model a user can name -> a graph, with what is needed to check it and to load it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tf2.errors import EngineError, ImportModelError
from tf2.importers.kinds import Kind, kind_of
from tf2.importers.origin import Origin, digests
from tf2.importers.readers import READERS
from tf2.importers.request import Request, SourceModel
from tf2.importers.runtimes import Runtime, in_own_precision
from tf2.importers.torch_readers import is_module, read_module
from tf2.ir import Graph

InputShapes = Mapping[str, Sequence[int]] | Sequence[Sequence[int]]
"""Shapes with the batch axis, by input name or in the order of the inputs."""

COARSEST_FIRST = ("bfloat16", "float16", "float32", "float64")

TAKES_WEIGHTS: frozenset[Kind] = frozenset({"caffe", "factory"})


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model file as a graph.

    Attributes:
        graph: What it computes.
        origin: Where it came from.
        runtime: The framework that can run the source itself, to compare; made when called.
        precision: Element type of the source's weights, the coarsest where there are several; the
            graph itself is in float32.
    """

    graph: Graph
    origin: Origin
    runtime: Callable[[], Runtime]
    precision: str = "float32"


def load_model(
    model: Any,
    *,
    weights: str | Path | None = None,
    input_shapes: InputShapes | None = None,
    outputs: Sequence[str] | None = None,
) -> ImportedModel:
    """Return the graph of a model in any format TF2 reads.

    Args:
        model: An ``.onnx`` file; a Caffe ``.prototxt``; ``package.module:function`` or
            ``file.py:function`` that makes a torch module (its code runs); a ``.pt2`` program; a
            ``.keras`` or ``.h5`` file; a SavedModel folder; a frozen ``.pb`` graph. In Python also
            a torch.nn.Module.
        weights: Of a Caffe net (default: the ``.caffemodel`` beside it) or a torch module.
        input_shapes: Needed where the model leaves sizes open, and for every torch module.
        outputs: Values to return instead of the model's own outputs.

    Raises:
        ImportModelError: The model cannot be read, or means something TF2 does not understand.
        MissingExtraError: Its framework is not installed.
    """
    from tf2.importers.onnx import precisions, read_onnx  # late: ONNX takes 0.2 s to import

    name = type(model).__name__ if is_module(model) else str(model)
    request = Request(
        model=name,
        weights=None if weights is None else Path(weights),
        input_shapes=input_shapes,
        outputs=None if outputs is None else tuple(outputs),
    )
    source = read_module(model, request) if is_module(model) else _read(request)
    try:
        graph = read_onnx(source.proto, input_shapes=source.onnx_shapes, name=source.name)
    except ImportModelError as error:
        error.args = (f"{name}: {error}",)  # its class and fields are for callers
        raise
    if input_shapes:
        _check_runs(graph, name)
    origin = Origin(
        format=source.format,
        model=name,
        weights=None if source.weights is None else str(source.weights),
        input_shapes=_named_shapes(graph, input_shapes),
        outputs=request.outputs,
        files=digests(source.files),
    )
    found = precisions(source.proto)
    return ImportedModel(
        graph=graph,
        origin=origin,
        runtime=partial(in_own_precision, source) if found else source.runtime,
        precision=next((kind for kind in COARSEST_FIRST if kind in found), "float32"),
    )


def _read(request: Request) -> SourceModel:
    kind = kind_of(request.model)
    if request.weights is not None and kind not in TAKES_WEIGHTS:
        raise ImportModelError(
            f"{request.model} holds its weights itself: no separate weights ({request.weights}) "
            "are taken"
        )
    return READERS[kind](request)


def _check_runs(graph: Graph, name: str) -> None:
    """Run the graph once: shapes that a user sets may contradict the weights."""
    import numpy as np

    from tf2.execution import Runner
    from tf2.importers.check import random_feeds

    try:
        Runner(graph)(random_feeds(graph, np.random.default_rng(0)))
    except EngineError as error:
        shapes = ", ".join(f"{i} {graph.shape(i)}" for i in graph.inputs)
        raise ImportModelError(
            f"{name} does not run with inputs of these shapes: {shapes}. {error}"
        ) from error


def _named_shapes(graph: Graph, shapes: InputShapes | None) -> dict[str, tuple[int, ...]]:
    if not shapes:
        return {}
    named = shapes if isinstance(shapes, Mapping) else dict(zip(graph.inputs, shapes, strict=False))
    return {name: tuple(int(n) for n in shape) for name, shape in named.items()}
