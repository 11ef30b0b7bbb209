"""What cannot run on an overlay is known when a network is compiled for it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2.arch import named_config
from tf2.compression import compress
from tf2.errors import DoesNotFitError
from tf2.flow import compile_model, overlays
from tf2.importers import load_model
from tf2.model_file import CompressionSettings

SMALL = named_config("test-small")
WIDTH = 48


@pytest.fixture
def wide(tmp_path, monkeypatch):
    """A convolution, a pooling, a convolution, on a map 48 wide, as a compressed model."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    last = np.ones((4, 4, 1, 1), np.float32)
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4),
                helper.make_node("Relu", ["c"], ["r"]),
                helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
                helper.make_node("Conv", ["p", "w2"], ["y"], name="last"),
            ],
            "wide",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, WIDTH])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, WIDTH // 2])],
            [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(last, "w2")],
        ),
        ir_version=10, opset_imports=[helper.make_opsetid("", 21)],
    )  # fmt: skip
    onnx.save(model, tmp_path / "wide.onnx")
    graph = load_model(str(tmp_path / "wide.onnx")).graph
    feeds = {"x": np.random.default_rng(1).standard_normal((1, 3, 8, WIDTH)).astype(np.float32)}
    integer = compress(graph, [feeds], CompressionSettings(method="nearest")).graph
    target = SimpleNamespace(name="wide", compressed=SimpleNamespace(graph=integer))
    monkeypatch.setattr(overlays, "target_of", lambda model, path: target)
    return "wide.tf2"


def test_a_row_longer_than_the_line_buffer_of_pooling_does_not_fit(wide):
    assert compile_model(wide, SMALL).arrays
    with pytest.raises(DoesNotFitError, match=r"'conv'.*line buffer, which has 8; use a larger"):
        compile_model(wide, replace(SMALL, pool_groups=8))
