"""The float model of a .tf2 file: found where it was or beside the file, and proven unchanged."""

from __future__ import annotations

import shutil

import pytest

import tf2
from color_classifier import color_model, write_images, write_model
from tf2.engines import Session
from tf2.errors import EngineError, ImportModelError


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a model compressed from a relative path, which is the present folder."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, count=2)
    write_model(tmp_path)
    tf2.compress("colors.onnx", "photos", preprocessing="unit-rgb").save("colors.tf2")
    return tmp_path


def test_found_from_the_present_folder(work):
    (work / "deep").mkdir()
    shutil.move("colors.tf2", "deep/moved.tf2")
    assert Session("deep/moved.tf2", engine="float").graph.name == "colors"


def test_found_from_the_folder_of_the_file(work, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert Session(work / "colors.tf2", engine="float").graph.name == "colors"


def test_found_beside_the_file_when_both_moved(work, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (work / "models").mkdir()
    shutil.move("colors.onnx", "models/colors.onnx")
    tf2.compress("models/colors.onnx", "photos", preprocessing="unit-rgb").save(elsewhere / "c.tf2")
    shutil.move("models/colors.onnx", elsewhere / "colors.onnx")
    monkeypatch.chdir(tmp_path_factory.mktemp("third"))
    assert Session(elsewhere / "c.tf2", engine="float").graph.name == "colors"


def test_a_missing_source_is_named_with_what_to_do(work):
    (work / "colors.onnx").unlink()
    with pytest.raises(EngineError, match=r"source colors.onnx is not there.*--source MODEL"):
        Session("colors.tf2", engine="float")


def test_a_changed_source_is_refused(work):
    write_model(work, seed=1)
    with pytest.raises(EngineError, match=r"colors.onnx has changed since .*SHA-256"):
        Session("colors.tf2", engine="float")


def test_the_user_can_name_the_source(work):
    shutil.move("colors.onnx", "renamed.onnx")
    assert Session("colors.tf2", engine="float", source="renamed.onnx").graph.name == "renamed"


def test_a_named_source_must_take_the_same_inputs(work, tmp_path_factory):
    model = color_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 16
    other = tmp_path_factory.mktemp("other") / "other.onnx"
    other.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="takes other inputs than the compressed model"):
        Session("colors.tf2", engine="float", source=other)


def test_a_named_source_that_is_no_model_is_refused(work):
    with pytest.raises(ImportModelError, match="no model"):
        Session("colors.tf2", engine="float", source="photos/red/0.png")


def test_a_graph_in_memory_has_no_source(work):
    graph = tf2.load_model("colors.onnx").graph
    model = tf2.compress(graph, "photos", preprocessing="unit-rgb")
    with pytest.raises(EngineError, match="compressed from a model in memory"):
        Session(model, engine="float")
    assert Session(model, engine="float", source="colors.onnx").graph.name == "colors"
    assert Session(model, engine="float", source=graph).graph is graph
