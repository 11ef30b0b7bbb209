"""Export: the cut at the bytes, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tf2
from color_classifier import write_images, write_model
from tf2.engines import Session
from tf2.errors import EngineError
from tf2.flow import with_feature_inputs
from tf2.ir import FLOAT32, Graph, Node, TensorType


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return tf2.compress(write_model(folder), write_images(folder), preprocessing="caffe-imagenet")


def test_the_cut_graph_gives_the_same_from_the_bytes_on(model, rng):
    graph = with_feature_inputs(model.graph)
    (entry,) = graph.inputs
    x = rng.integers(-100, 130, (2, 3, 12, 12)).astype(np.float32)
    whole = Session(model)
    stored = whole.values({"image": x}, [entry])[entry]
    (found,) = Session(graph).run(None, {entry: stored})
    np.testing.assert_array_equal(found, whole.run(None, {"image": x})[0])


def test_feature_inputs_are_int8_in_a_session(model):
    (entry,) = Session(with_feature_inputs(model.graph)).get_inputs()
    assert entry.type == "tensor(int8)"
    with pytest.raises(EngineError, match="it must be int8"):
        Session(with_feature_inputs(model.graph)).run(
            None, {entry.name: np.zeros((1, 3, 12, 12), np.uint8)}
        )


def test_a_graph_without_bytes_is_refused():
    value = TensorType(FLOAT32, (1, 2))
    graph = Graph(
        name="host",
        inputs=("x",),
        outputs=("y",),
        nodes=(Node(name="n", op="Neg", inputs=("x",), outputs=("y",)),),
        types={"x": value, "y": value},
        constants={},
    )
    with pytest.raises(EngineError, match="no input of 'host' is quantized"):
        with_feature_inputs(graph)


def test_an_input_that_the_host_reads_too_is_refused(model):
    graph = model.graph
    shape = graph.types["image"]
    echo = Node(name="echo", op="Neg", inputs=("image",), outputs=("negative",))
    both = graph.replaced(
        nodes=[*graph.nodes, echo],
        types={"negative": shape},
        outputs=(*graph.outputs, "negative"),
    )
    with pytest.raises(EngineError, match="'image' is also read in float on the host"):
        with_feature_inputs(both)


def test_what_cannot_be_written_leaves_nothing(model, tmp_path):
    with pytest.raises(EngineError, match="cannot be written"):
        tf2.export_onnx(model, tmp_path / "no" / "x.onnx")
    assert not list(tmp_path.iterdir())
