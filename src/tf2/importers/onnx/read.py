"""The one entry: ONNX model -> verified graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from tf2.errors import ImportModelError
from tf2.importers.onnx.batch import settled
from tf2.importers.onnx.branches import without_ifs
from tf2.importers.onnx.draft import Draft
from tf2.importers.onnx.infer import walk
from tf2.importers.onnx.load import loaded
from tf2.importers.onnx.opset import at_opset
from tf2.importers.onnx.parse import parse
from tf2.importers.onnx.single_precision import WEIGHT_OPS, in_float32
from tf2.ir import Graph

MEASURES = {3: (224,), 4: (224, 224), 5: (64, 64, 64)}
"""Sizes to suggest for open spatial axes, by the rank of the input."""


def read_onnx(
    source: Path | onnx.ModelProto,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
) -> Graph:
    """Return a verified graph that computes what the model computes.

    Every value has a static shape. A network of half or double precision, its inputs included,
    becomes one of float32. Axis 0 is a free batch wherever a run of one and of two samples
    proves that samples do not touch each other; else ``batch_is_free`` is false.

    Args:
        source: A file, with its external data beside it, or a model in memory.
        input_shapes: Shapes of inputs that the model leaves open, or shapes to use instead.
        name: Of the graph; default the file's stem or the name inside the model.

    Raises:
        UnsupportedOpError: An operator that cannot be imported; names the node.
        ImportModelError: A broken model, or input shapes that are missing or do not fit.
    """
    label = name or (source.graph.name if isinstance(source, onnx.ModelProto) else source.stem)
    given = dict(input_shapes or {})
    proto = in_float32(loaded(source))
    _set_shapes(proto, given)

    def known(part: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        draft = parse(at_opset(part), name="condition")
        return walk(draft, _shapes(draft, given)).known

    model = at_opset(without_ifs(proto, known))
    draft = parse(model, name=label or "model")
    try:
        graph = settled(draft, _shapes(draft, given))
    except MemoryError as error:
        raise ImportModelError(f"the model does not fit this machine's memory: {error}") from error
    _check_weights(graph)
    return graph


def _set_shapes(model: onnx.ModelProto, given: Mapping[str, Sequence[int]]) -> None:
    """Write the shapes into the model: the opset converter needs them for some operators."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, given.get(value.name, ()), strict=False):
            if size > 0 and not dim.HasField("dim_value"):
                dim.dim_value = size


def _check_weights(graph: Graph) -> None:
    for node in graph.nodes:
        for name in node.inputs if node.op in WEIGHT_OPS else ():
            array = graph.constant(name)
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ImportModelError(
                    f"tensor {name!r}, read by {node.kind} node {node.name!r}, has NaN or "
                    f"infinite elements. Train or export the model again."
                )


def _shapes(draft: Draft, given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    unknown = sorted(set(given) - set(draft.inputs))
    if unknown:
        raise ImportModelError(
            f"there is no input {unknown[0]!r}; the model reads {', '.join(draft.inputs)}"
        )
    return {
        input_name: _shape(draft, input_name, given.get(input_name)) for input_name in draft.inputs
    }


def _shape(draft: Draft, name: str, given: Sequence[int] | None) -> tuple[int, ...]:
    dims = draft.inputs[name].dims
    if given is not None:
        shape = tuple(int(size) for size in given)
        if any(size < 1 for size in shape) or (dims is not None and len(shape) != len(dims)):
            raise ImportModelError(
                f"input {name!r} cannot have shape {_text(shape)}; the model says {_text(dims)}"
            )
        return shape
    if dims is None:
        raise ImportModelError(
            f"input {name!r} has no shape. Give one: --input-shape {name}=1,3,224,224"
        )
    shape = (1 if dims[:1] == (None,) else dims[0], *dims[1:]) if dims else ()
    if None in shape:
        spatial = MEASURES.get(len(dims), ())
        guess = (*dims[: len(dims) - len(spatial)], *spatial)
        filled = [size or other or 1 for size, other in zip(dims, guess, strict=True)]
        raise ImportModelError(
            f"input {name!r} has open sizes: {_text(dims)}. "
            f"Give them: --input-shape {name}={','.join(map(str, filled))}"
        )
    return tuple(size for size in shape if size is not None)


def _text(dims: Sequence[int | None] | None) -> str:
    if dims is None:
        return "nothing about it"
    return f"({', '.join('?' if size is None else str(size) for size in dims)})"
