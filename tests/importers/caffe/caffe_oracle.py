"""Run an imported model in ONNX Runtime and the same files in OpenCV, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from caffe_writer import CaffeModel

from tf2.importers.caffe import read_caffe

cv2.setNumThreads(1)

# Both sides sum float32 products in their own order: relative 1e-5 is some 80 units in the last
# place, absolute 2e-5 covers cancellation at the magnitudes used here (inputs about 1).
RTOL, ATOL = 1e-5, 2e-5


def imported(model: CaffeModel, folder: Path, **options: object) -> onnx.ModelProto:
    """Return the ONNX model, checked by ONNX itself, shapes included."""
    prototxt, caffemodel = folder / "net.prototxt", folder / "net.caffemodel"
    prototxt.write_text(model.text)
    caffemodel.write_bytes(model.weights)
    result = read_caffe(prototxt, caffemodel, **options)  # type: ignore[arg-type]
    onnx.checker.check_model(result, full_check=True)
    return result


def run_onnx(model: onnx.ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    """Return all outputs; their shapes must be those the model declares."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results = session.run(None, inputs)
    for result, info in zip(results, session.get_outputs(), strict=True):
        declared = [size if isinstance(size, int) else None for size in info.shape]
        assert len(declared) == result.ndim
        assert all(d in (None, s) for d, s in zip(declared, result.shape, strict=True))
    return results


def run_opencv(
    prototxt: bytes, caffemodel: bytes, outputs: Sequence[str], **inputs: np.ndarray
) -> list[np.ndarray]:
    buffers = [np.frombuffer(data, np.uint8) for data in (prototxt, caffemodel)]
    net = cv2.dnn.readNetFromCaffe(*buffers)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.enableFusion(False)
    net.enableWinograd(False)
    for name, value in inputs.items():
        net.setInput(value, name)
    return list(net.forward(list(outputs)))


def assert_as_opencv(
    model: CaffeModel,
    folder: Path,
    *,
    seed: int = 0,
    positive: bool = False,
    rtol: float = RTOL,
    atol: float = ATOL,
) -> onnx.ModelProto:
    """Import the model and hold every output to OpenCV's on random normal inputs."""
    result = imported(model, folder)
    inputs = random_inputs(model, seed=seed, positive=positive)
    names = [output.name for output in result.graph.output]
    expected = run_opencv(model.text.encode(), model.weights, names, **inputs)
    for name, found, want in zip(names, run_onnx(result, **inputs), expected, strict=True):
        assert found.size == want.size, f"{name}: {found.shape} and {want.shape}"
        np.testing.assert_allclose(
            found, want.reshape(found.shape), rtol=rtol, atol=atol, err_msg=name
        )
    return result


def random_inputs(
    model: CaffeModel, *, seed: int = 0, positive: bool = False
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {
        name: rng.normal(size=shape).astype(np.float32) for name, shape in model.inputs.items()
    }
    return {k: np.abs(v) + 0.1 for k, v in inputs.items()} if positive else inputs


def weights(*shape: int, seed: int = 1) -> np.ndarray:
    """Return random weights scaled as trained ones are, so that outputs are about 1."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return (np.random.default_rng(seed).normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)
