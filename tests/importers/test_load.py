"""load_model: every kind by its name, files hashed, outputs and shapes as asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from color_classifier import color_model, write_model
from tf2.errors import ImportModelError
from tf2.importers import load_model
from tf2.importers.check import largest_difference
from tf2.importers.kinds import SUFFIXES, kind_of

NET = """
name: "tiny"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "pool" top: "out" }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_origin_names_every_file_with_its_hash(folder):
    write_model(folder)
    imported = load_model("colors.onnx")
    (file,) = imported.origin.files
    content = Path("colors.onnx").read_bytes()
    assert (imported.origin.format, imported.origin.model) == ("onnx", "colors.onnx")
    assert (file.path, file.bytes) == ("colors.onnx", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_external_weights_are_files_of_the_source(folder):
    onnx.save(color_model(), "net.onnx", save_as_external_data=True, location="w.bin",
              size_threshold=0)  # fmt: skip
    assert [file.path for file in load_model("net.onnx").origin.files] == ["net.onnx", "w.bin"]


def test_the_source_runtime_agrees_with_the_graph(folder):
    write_model(folder)
    imported = load_model("colors.onnx")
    runtime = imported.runtime()
    assert runtime.name.startswith("ONNX Runtime ")
    assert runtime.run is not None
    assert largest_difference(imported.graph, runtime.run, seed=0).relative < 1e-6


def test_inner_values_can_be_the_outputs(folder):
    write_model(folder)
    imported = load_model("colors.onnx", outputs=["r1", "mean"])
    assert imported.graph.outputs == ("r1", "mean")
    assert {node.op for node in imported.graph.nodes} >= {"Conv", "GlobalAveragePool"}
    assert not any(node.op == "Softmax" for node in imported.graph.nodes)
    run = imported.runtime().run
    assert run is not None
    assert set(run({"image": np.zeros((1, 3, 12, 12), np.float32)})) == {"r1", "mean"}


def test_shapes_go_by_order_or_by_name(folder):
    write_model(folder)
    for shapes in ([(2, 3, 12, 12)], {"image": (2, 3, 12, 12)}):
        assert load_model("colors.onnx", input_shapes=shapes).origin.input_shapes == {
            "image": (2, 3, 12, 12)
        }


def test_more_shapes_than_inputs_are_refused(folder):
    write_model(folder)
    with pytest.raises(ImportModelError, match=r"2 input shapes for 1 inputs \(image\)"):
        load_model("colors.onnx", input_shapes=[(1, 3, 12, 12), (1,)])


def test_caffe_takes_the_caffemodel_beside_it(folder):
    Path("net.prototxt").write_text(NET)
    Path("other.caffemodel").write_bytes(b"")
    imported = load_model("net.prototxt")
    assert imported.graph.name == "tiny"
    assert imported.origin.weights == "other.caffemodel"
    Path("net.caffemodel").write_bytes(b"")  # of the same stem: preferred
    assert load_model("net.prototxt").origin.weights == "net.caffemodel"


def test_caffe_shapes_without_names_belong_to_the_inputs_in_order(folder):
    Path("net.prototxt").write_text(NET)
    Path("net.caffemodel").write_bytes(b"")
    imported = load_model("net.prototxt", input_shapes=[(1, 2, 8, 8)], outputs=["pool"])
    assert imported.graph.shape("data") == (1, 2, 8, 8)
    assert imported.graph.outputs == ("pool",)


def test_opencv_runs_a_caffe_net(folder):
    pytest.importorskip("cv2")
    Path("net.prototxt").write_text(NET)
    Path("net.caffemodel").write_bytes(b"")
    runtime = load_model("net.prototxt").runtime()
    assert runtime.name.startswith("OpenCV ")
    if runtime.run is None:  # OpenCV 5, or it wants weights
        assert runtime.reason
        return
    x = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    expected = x.reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5))
    np.testing.assert_array_equal(runtime.run({"data": x})["out"], expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_are_told_whatever_their_case(folder, suffix):
    path = folder / f"model{suffix.upper()}"
    path.write_bytes(b"")
    assert kind_of(str(path)) == SUFFIXES[suffix]


@pytest.mark.parametrize("name", ["package.module:make", "file.py:make", "a/b/file.py:Net"])
def test_functions_are_told_by_the_colon(folder, name):
    assert kind_of(name) == "factory"


def test_a_saved_model_is_told_by_what_the_folder_holds(folder):
    (folder / "saved").mkdir()
    (folder / "saved/saved_model.pb").write_bytes(b"")
    assert kind_of("saved") == "saved-model"
    assert kind_of("saved/saved_model.pb") == "saved-model"


def test_a_name_with_a_nul_is_refused():
    with pytest.raises(ImportModelError, match="cannot be read"):
        kind_of("a\0b")


@pytest.mark.slow
def test_a_torch_module_by_function_and_in_memory(folder):
    torch = pytest.importorskip("torch")
    Path("net.py").write_text(
        "import torch\n\ndef make():\n    torch.manual_seed(0)\n    return torch.nn.Linear(3, 2)\n"
    )
    by_name = load_model("net.py:make", input_shapes=[(1, 3)])
    assert (by_name.origin.format, by_name.graph.name) == ("pytorch", "make")
    assert [file.path for file in by_name.origin.files] == ["net.py"]
    torch.manual_seed(0)
    in_memory = load_model(torch.nn.Linear(3, 2), input_shapes={"input": (1, 3)})
    assert (in_memory.origin.format, in_memory.origin.files) == ("graph", ())
    for imported in (by_name, in_memory):
        run = imported.runtime().run
        assert run is not None
        assert largest_difference(imported.graph, run, seed=0).relative < 1e-5
