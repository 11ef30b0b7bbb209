"""A graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime as ort

from tf2.errors import EngineError
from tf2.execution.onnx_writer import to_onnx
from tf2.ir import Feature, Graph


class Runner:
    """Runs a graph in ONNX Runtime on the CPU; features go in and come out as int8 bytes.

    Args:
        graph: Verified.
        outputs: Names of values to return; default the graph's outputs.
        threads: Of one operator; 0 takes every core.
        fragment: See `to_onnx`.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        outputs: Iterable[str] | None = None,
        threads: int = 0,
        fragment: bool = False,
    ) -> None:
        self._graph = graph
        self._outputs = tuple(graph.outputs if outputs is None else outputs)
        self._session = ort_session(
            to_onnx(graph, outputs=self._outputs, fragment=fragment), threads=threads
        )

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the named values for one batch.

        Raises:
            EngineError: An input is missing, or ONNX Runtime refuses the inputs or fails; its
                reason is kept.
        """
        missing = [name for name in self._graph.inputs if name not in feeds]
        if missing:
            raise EngineError(f"input {missing[0]!r} is missing; it reads {self._graph.inputs}")
        stored = {name: self._to_stored(name, feeds[name]) for name in self._graph.inputs}
        try:
            results = self._session.run(list(self._outputs), stored)
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise EngineError(f"ONNX Runtime cannot run {self._graph.name!r}: {error}") from error
        pairs = zip(self._outputs, results, strict=True)
        return {name: self._from_stored(name, np.asarray(array)) for name, array in pairs}

    def _is_feature(self, name: str) -> bool:
        return isinstance(self._graph.types[name].dtype, Feature)

    def _to_stored(self, name: str, array: np.ndarray) -> np.ndarray:
        return array.view(np.uint8) ^ np.uint8(128) if self._is_feature(name) else array

    def _from_stored(self, name: str, array: np.ndarray) -> np.ndarray:
        return (array ^ np.uint8(128)).view(np.int8) if self._is_feature(name) else array


def ort_session(
    model: onnx.ModelProto, *, threads: int = 0, optimize: bool = True
) -> ort.InferenceSession:
    """Return a quiet CPU session of a model.

    Raises:
        EngineError: ONNX Runtime refuses the model; its reason is kept.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what it refuses becomes an EngineError
    options.intra_op_num_threads = threads
    # Integer operators are written out. It would make more of them: operators of the host between
    # Dequantize and Quantize, and Quantize -> Dequantize -> Quantize merged, with one rounding.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.disable_double_qdq_remover", "1")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        raise EngineError(f"ONNX Runtime refuses {model.graph.name!r}: {error}") from error
