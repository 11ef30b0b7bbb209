"""What a graph takes and gives, and a check of what it is fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf2.errors import EngineError
from tf2.execution.onnx_writer import BATCH
from tf2.ir import Graph, Plain, TensorType

_TYPE_NAMES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True, kw_only=True)
class ValueInfo:
    """An input or output, described as ONNX Runtime does.

    Attributes:
        name: Of the value.
        type: "tensor(float)", "tensor(int8)", ...; feature bytes are int8.
        shape: Its axes; a free batch axis is "N".
    """

    name: str
    type: str
    shape: tuple[int | str, ...]


def value_info(graph: Graph, name: str) -> ValueInfo:
    """Return name, element type and shape of an input or output of the graph."""
    value = graph.types[name]
    kind = _element(value)
    shape: tuple[int | str, ...] = value.shape
    if graph.batch_is_free and shape:
        shape = (BATCH, *shape[1:])
    return ValueInfo(name=name, type=f"tensor({_TYPE_NAMES.get(kind, kind)})", shape=shape)


def checked_feeds(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the feeds, contiguous, if they are what the graph takes.

    Raises:
        EngineError: A name, element type or shape is wrong, or batches differ in size; says what
            was found and what is taken.
    """
    if not isinstance(feeds, Mapping):
        raise EngineError(f"inputs are a dict of arrays by name, not a {type(feeds).__name__}")
    unknown = [name for name in feeds if name not in graph.inputs]
    missing = [name for name in graph.inputs if name not in feeds]
    if unknown or missing:
        wrong = (
            f"there is no input {unknown[0]!r}" if unknown else f"input {missing[0]!r} is missing"
        )
        raise EngineError(f"{wrong}; the model reads {_signature(graph)}")
    arrays = {name: _checked(graph, name, feeds[name]) for name in graph.inputs}
    if graph.batch_is_free:
        sizes = {name: array.shape[0] for name, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise EngineError(f"all inputs must have the same batch (axis 0), found {sizes}")
    return arrays


def _checked(graph: Graph, name: str, array: np.ndarray) -> np.ndarray:
    value = graph.types[name]
    info = value_info(graph, name)
    kind = _element(value)
    if not isinstance(array, np.ndarray):
        raise EngineError(f"input {name!r} must be a NumPy array, not {type(array).__name__}")
    is_text = kind == "string" and array.dtype.kind in "OU"
    if array.dtype.name != kind and not is_text:
        raise EngineError(
            f"input {name!r} is {array.dtype}, it must be {kind}: x.astype({kind!r}) converts it"
        )
    fits = array.ndim == len(info.shape) and all(
        wanted in (BATCH, size) for wanted, size in zip(info.shape, array.shape, strict=True)
    )
    if not fits:
        raise EngineError(
            f"input {name!r} has shape {array.shape}, it must be {_shape(info.shape)}"
        )
    if array.size == 0 and array.ndim and array.shape[0] == 0:
        raise EngineError(f"input {name!r} has an empty batch: give at least one sample")
    return np.ascontiguousarray(array)


def check_finite(feeds: Mapping[str, np.ndarray]) -> None:
    """Refuse NaN and infinity, which integers cannot hold.

    Raises:
        EngineError: Names the input and counts them.
    """
    for name, array in feeds.items():
        if array.dtype.kind != "f":
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            # Faster than asking each: a sum is finite only if all are; if not, they are counted.
            suspicious = not np.isfinite(array.sum())
        if suspicious and (bad := int(np.count_nonzero(~np.isfinite(array)))):
            raise EngineError(f"input {name!r}: {bad} of {array.size} values are NaN or infinite")


def _element(value: TensorType) -> str:
    return value.dtype.name if isinstance(value.dtype, Plain) else "int8"


def _signature(graph: Graph) -> str:
    infos = [value_info(graph, name) for name in graph.inputs]
    return ", ".join(f"{i.name!r} {i.type} {_shape(i.shape)}" for i in infos)


def _shape(shape: Sequence[int | str]) -> str:
    text = ", ".join(map(str, shape))
    return f"({text},)" if len(shape) == 1 else f"({text})"
