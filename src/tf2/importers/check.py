"""Does a graph compute what its source computes? Asked on random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from tf2.errors import EngineError, ImportModelError
from tf2.execution import Runner
from tf2.ir import Graph, Plain

Arrays = Mapping[str, np.ndarray]
SourceRunner = Callable[[Arrays], Arrays]


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How far an output is from the source's.

    Attributes:
        absolute: Largest difference of an element; infinite where only one side is finite.
        relative: The same over the largest magnitude of the source's output.
    """

    absolute: float
    relative: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Differences of a graph from its source, by output name."""

    outputs: Mapping[str, OutputDifference]

    @property
    def absolute(self) -> float:
        """The largest absolute difference of any output."""
        return max((d.absolute for d in self.outputs.values()), default=0.0)

    @property
    def relative(self) -> float:
        """The largest relative difference of any output."""
        return max((d.relative for d in self.outputs.values()), default=0.0)


def largest_difference(
    graph: Graph, source_runner: SourceRunner, *, seed: int, batch: int = 1
) -> Difference:
    """Return how far the graph's outputs are from the source's on one seeded random batch.

    Args:
        graph: The imported graph; its outputs are named or ordered as the source's.
        source_runner: Runs the source.
        seed: Of the input data.
        batch: Samples; 1 unless the graph's batch is free.

    Raises:
        ImportModelError: The source gives another number of outputs or other shapes.
    """
    feeds = random_feeds(graph, np.random.default_rng(seed), batch=batch)
    expected = source_runner(feeds)
    found = Runner(graph)(feeds)
    if len(found) != len(expected):
        raise ImportModelError(f"the source has outputs {list(expected)}, the graph {list(found)}")
    ordered = (
        expected
        if set(expected) == set(found)
        else dict(zip(found, expected.values(), strict=True))
    )
    return Difference(
        outputs={name: _output_difference(name, found[name], ordered[name]) for name in found}
    )


def _output_difference(name: str, found: np.ndarray, expected: np.ndarray) -> OutputDifference:
    if found.shape != expected.shape:
        raise ImportModelError(
            f"output {name!r} has shape {found.shape}, in the source it has {expected.shape}"
        )
    if expected.dtype.kind in "OSU":
        differs = float(not np.array_equal(found, expected))
        return OutputDifference(absolute=differs, relative=differs)
    a, b = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(a - b)
    error[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0  # equal infinities differ by NaN
    absolute = float(np.nan_to_num(error, nan=np.inf).max(initial=0.0))
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    relative = absolute / scale if scale else (0.0 if absolute == 0 else np.inf)
    return OutputDifference(absolute=absolute, relative=relative)


def random_feeds(
    graph: Graph, rng: np.random.Generator, *, batch: int = 1
) -> dict[str, np.ndarray]:
    """Return one random array for each graph input, in the range that its element type suggests.

    Floats are standard normal; bytes span their range; wider integers, which usually are
    positions or classes, are 0 or 1.
    """
    feeds: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        value = graph.types[name]
        shape = (batch, *value.shape[1:]) if graph.batch_is_free else value.shape
        kind = value.dtype.name if isinstance(value.dtype, Plain) else "int8"
        feeds[name] = _random_array(kind, shape, rng)
    return feeds


def _random_array(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if kind == "string":
        return np.array(rng.integers(0, 2, shape).astype(str), np.object_)
    if kind == "bfloat16":
        dtype = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)
        return rng.standard_normal(shape).astype(dtype)
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return rng.standard_normal(shape, np.float32).astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return rng.integers(0, 2, shape).astype(dtype)


def onnx_runner(source: onnx.ModelProto | Path) -> SourceRunner:
    """Return a callable that runs an ONNX model as it is written, without graph optimisations.

    Raises:
        EngineError: ONNX Runtime refuses the model; its reason is kept.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = source.SerializeToString() if isinstance(source, onnx.ModelProto) else str(source)
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        raise EngineError(f"ONNX Runtime refuses the source model: {error}") from error
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        try:
            results = session.run(names, dict(feeds))
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise EngineError(f"ONNX Runtime cannot run the source model: {error}") from error
        return {name: np.asarray(a) for name, a in zip(names, results, strict=True)}

    return run
