"""The frameworks that models come from, as functions that run the source itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf2.errors import EngineError

if TYPE_CHECKING:
    from tf2.importers.check import Arrays, SourceRunner
    from tf2.importers.request import SourceModel


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A framework that can run the source, or the reason why none can here.

    Attributes:
        name: With its version.
        run: From arrays by input name to arrays by output name; None when it cannot run here.
        reason: Why not.
    """

    name: str
    run: SourceRunner | None = None
    reason: str = ""


def onnxruntime(source: Any) -> Runtime:
    """Return ONNX Runtime for a ModelProto or the path of one."""
    import onnxruntime as ort

    from tf2.importers.check import onnx_runner

    name = f"ONNX Runtime {ort.__version__}"
    try:
        return Runtime(name=name, run=onnx_runner(source))
    except EngineError as error:
        return Runtime(name=name, reason=str(error))


def in_own_precision(source: SourceModel) -> Runtime:
    """Return a source's runtime as one that takes float32 where the source takes another."""
    from onnx import TensorProto, helper

    runtime = source.runtime()
    run = runtime.run
    if run is None:
        return runtime
    kinds = {v.name: v.type.tensor_type.elem_type for v in source.proto.graph.input}
    if TensorProto.BFLOAT16 in kinds.values():
        return Runtime(name=runtime.name, reason="the source takes bfloat16, which NumPy lacks")
    dtypes = {name: helper.tensor_dtype_to_np_dtype(kind) for name, kind in kinds.items() if kind}

    def cast(feeds: Arrays) -> Arrays:
        return run({k: np.asarray(a, dtypes.get(k, a.dtype)) for k, a in feeds.items()})

    return Runtime(name=runtime.name, run=cast)


@dataclass(frozen=True, kw_only=True)
class CaffeOutput:
    """Where OpenCV has an output of a Caffe net.

    Attributes:
        layer: The last layer that writes the blob.
        index: Of the blob among the layer's tops.
        shape: As Caffe has it, -1 for the batch; OpenCV drops or adds axes of size 1.
    """

    layer: str
    index: int
    shape: tuple[int, ...]


def opencv(prototxt: Path, caffemodel: Path, outputs: Mapping[str, CaffeOutput]) -> Runtime:
    """Return OpenCV for a Caffe net, where an OpenCV that reads Caffe (before 5) is installed."""
    try:
        import cv2
    except ImportError:
        return Runtime(
            name="OpenCV", reason="OpenCV is not installed: pip install 'opencv-python<5'"
        )
    name = f"OpenCV {cv2.__version__}"
    if int(cv2.__version__.split(".")[0]) >= 5:
        return Runtime(name=name, reason="OpenCV 5 no longer reads Caffe nets")
    try:
        net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    except cv2.error as error:
        return Runtime(name=name, reason=f"OpenCV cannot read the net: {_first_line(error)}")
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        try:
            for key, array in feeds.items():
                net.setInput(np.ascontiguousarray(array), key)
            results = net.forwardAndRetrieve([place.layer for place in outputs.values()])
            return {
                key: np.asarray(blobs[place.index]).reshape(place.shape)
                for (key, place), blobs in zip(outputs.items(), results, strict=True)
            }
        except (cv2.error, IndexError, ValueError) as error:  # ValueError: another size
            raise EngineError(f"OpenCV cannot run the net: {_first_line(error)}") from error

    return Runtime(name=name, run=run)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
