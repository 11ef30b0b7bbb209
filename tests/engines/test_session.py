"""Session: ONNX Runtime's interface, checks of what it is fed, engines by name."""

from __future__ import annotations

import numpy as np
import pytest

import tf2
from color_classifier import write_images, write_model
from tf2.engines import Session, engine_names, register_engine
from tf2.engines.registry import _ENGINES
from tf2.errors import EngineError, ModelFileError
from tf2.execution import interpret


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    photos, model = write_images(folder), write_model(folder)
    tf2.compress(model, photos, preprocessing="unit-rgb").save(folder / "colors.tf2")
    return folder


@pytest.fixture(scope="module")
def session(folder):
    return Session(folder / "colors.tf2")


@pytest.fixture
def image(rng):
    return rng.random((2, 3, 12, 12), np.float32)


def test_describes_inputs_and_outputs_as_onnxruntime_does(session):
    (x,), (y,) = session.get_inputs(), session.get_outputs()
    assert (x.name, x.type, x.shape) == ("image", "tensor(float)", ("N", 3, 12, 12))
    assert (y.name, y.type, y.shape) == ("scores", "tensor(float)", ("N", 3, 1, 1))


def test_int_engine_gives_what_the_golden_interpreter_gives(session, image):
    # Softmax is float on the host: the value before it is integer and must agree to the bit.
    (name,) = {node.inputs[0] for node in session.graph.nodes if node.op == "Softmax"}
    found = session.values({"image": image}, [name])[name]
    expected = interpret(session.graph, {"image": image}, [name])[name]
    np.testing.assert_array_equal(found, expected)


def test_float_engine_runs_the_source_as_given(folder, session, image):
    onnx_session = Session(folder / "colors.onnx", engine="float")
    float_session = Session(folder / "colors.tf2", engine="float")
    expected = onnx_session.run(None, {"image": image})
    np.testing.assert_array_equal(float_session.run(["scores"], {"image": image}), expected)
    assert np.abs(session.run(None, {"image": image})[0] - expected[0]).max() < 0.1


def test_runs_images_without_being_told_how(session, folder):
    (scores,) = session.run_images([folder / "photos/blue/0.png", folder / "photos/red/1.png"])
    assert scores.argmax(axis=1).reshape(-1).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input 'image' is missing; the model reads 'image' tensor\\(float\\) \\(N, 3, 12, 12"),
        ({"image": 1, "x": 2}, "there is no input 'x'"),
        ({"image": [1.0]}, "must be a NumPy array, not list"),
        ({"image": np.zeros((1, 3, 12, 12))}, "is float64, it must be float32"),
        ({"image": np.zeros((3, 12, 12), np.float32)}, "shape \\(3, 12, 12\\), it must be \\(N, 3"),
        ({"image": np.zeros((1, 3, 12, 13), np.float32)}, "shape \\(1, 3, 12, 13\\)"),
        ({"image": np.zeros((0, 3, 12, 12), np.float32)}, "empty batch"),
        ({"image": np.full((1, 3, 12, 12), np.nan, np.float32)}, "432 of 432 values are NaN"),
        ([1], "inputs are a dict"),
    ],
)
def test_refuses_wrong_feeds(session, feeds, message):
    with pytest.raises(EngineError, match=message):
        session.run(None, feeds)


def test_a_large_finite_input_is_no_infinity(session):
    session.run(None, {"image": np.full((1, 3, 12, 12), 3e38, np.float32)})


def test_refuses_an_unknown_output(session, image):
    with pytest.raises(EngineError, match="no output 'prob'; the model returns scores"):
        session.run(["prob"], {"image": image})


def test_refuses_an_unknown_value(session, image):
    with pytest.raises(EngineError, match="no value 'nowhere'"):
        session.values({"image": image}, ["nowhere"])


def test_unknown_engine_lists_those_there_are(folder):
    with pytest.raises(EngineError, match="engines are board, float, functional, int, rtl"):
        Session(folder / "colors.tf2", engine="fpga")


def test_a_registered_engine_is_known(folder, monkeypatch):
    monkeypatch.setattr("tf2.engines.registry._ENGINES", dict(_ENGINES))
    made = []
    register_engine("mine", lambda target, threads: made.append((target, threads)))
    assert "mine" in engine_names()
    Session(folder / "colors.tf2", engine="mine", threads=1)
    assert made[0][0].compressed is not None
    with pytest.raises(ValueError, match="'mine' is registered already"):
        register_engine("mine", lambda target, threads: None)


def test_a_float_model_has_no_int_engine(folder):
    with pytest.raises(EngineError, match=r"is not compressed: engine 'int' runs \.tf2"):
        Session(folder / "colors.onnx")


def test_an_integer_graph_has_no_float_engine(session):
    with pytest.raises(EngineError, match="has integer operators"):
        Session(session.graph, engine="float")


def test_runs_a_graph_in_memory(session, image):
    (found,) = Session(session.graph).run(None, {"image": image})
    np.testing.assert_array_equal(found, session.run(None, {"image": image})[0])


def test_refuses_what_is_no_model():
    with pytest.raises(EngineError, match="not a int"):
        Session(3)  # pyright: ignore[reportArgumentType]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"nothing\.tf2"):
        Session(tmp_path / "nothing.tf2")


def test_negative_threads_are_refused(folder):
    with pytest.raises(EngineError, match="threads must be 0"):
        Session(folder / "colors.tf2", threads=-1)


def test_images_need_a_preprocessing(folder, session):
    model = tf2.CompressedModel(
        graph=session.graph,
        manifest=session.compressed.manifest.model_copy(update={"preprocessing": None}),
    )
    with pytest.raises(EngineError, match="says nothing on how to prepare images"):
        Session(model).run_images([folder / "photos/red/0.png"])
