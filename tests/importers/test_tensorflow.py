"""TensorFlow and Keras importers: the ONNX equals TensorFlow; what is refused says why."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tf2.errors import ImportModelError, MissingExtraError, UnsupportedOpError
from tf2.importers import tensorflow

INSTALLED = all(importlib.util.find_spec(name) for name in ("tensorflow", "keras", "tf2onnx"))
needs_tensorflow = pytest.mark.skipif(
    not INSTALLED, reason="the extra 'tensorflow' is not installed"
)
MODELS = Path(__file__).resolve().parents[2].parent / "shared" / "models"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are absent")


def onnx_outputs(model, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def dims(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def assert_equals_tensorflow(graph, batches=(1, 3), scale=1.0):
    """The ONNX of a graph gives what TensorFlow gives; returns the ONNX."""
    model = tensorflow.to_onnx(graph)
    onnx.checker.check_model(model, full_check=True)
    run = tensorflow.reference_runner(graph)
    for batch in batches:
        rng = np.random.default_rng(batch)
        feeds = {
            value.name: scale * rng.random((batch, *dims(value)[1:]), dtype=np.float32)
            for value in model.graph.input
        }
        expected, found = run(feeds), onnx_outputs(model, feeds)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            # Both are float32 and differ in the order of sums.
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    return model


@pytest.fixture
def tf():
    """TensorFlow as the importer sees it, with the warnings of its own import kept away."""
    from tf2.importers.tensorflow import extra

    extra.require_tensorflow()
    import tensorflow as module

    return module


def save_keras(path, layers, shape):
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .h5 is called legacy
        inputs = keras.Input(shape, name="image")
        outputs = inputs
        for layer in layers:
            outputs = layer(outputs)
        model = keras.Model(inputs, outputs)
        model.save(path)
    return model


KERAS = {
    "resnet8-cifar10-keras/pretrainedResnet.h5": ("input_1", "dense", [32, 32, 3], 255.0),
    "squeezenet-v1.1-formats/squeezenet_v1.1.h5": ("data", "prob", [227, 227, 3], 255.0),
}


@needs_tensorflow
@needs_models
@pytest.mark.parametrize("file", KERAS)
def test_a_real_keras_file_computes_the_same_at_any_batch(file):
    first, last, shape, scale = KERAS[file]
    model = assert_equals_tensorflow(tensorflow.load_keras(MODELS / file), scale=scale)
    assert [(v.name, dims(v)) for v in model.graph.input] == [(first, ["N", *shape])]
    assert [value.name for value in model.graph.output] == [last]
    assert model.opset_import[0].version <= 21


@needs_tensorflow
@needs_models
def test_a_real_saved_model_computes_the_same_at_any_batch():
    graph = tensorflow.load_saved_model(MODELS / "kws-dscnn-tf" / "saved_model")
    model = assert_equals_tensorflow(graph)
    assert [(v.name, dims(v)) for v in model.graph.input] == [("input_1", ["N", 49, 10, 1])]
    assert [(v.name, dims(v)) for v in model.graph.output] == [("dense", ["N", 12])]


@needs_tensorflow
@needs_models
@pytest.mark.slow
def test_a_real_frozen_graph_computes_the_same_with_a_constant_fed():
    graph = tensorflow.load_frozen_graph(
        MODELS / "deepbrain-3d-tf" / "graph.pb",
        inputs=["import/img:0"],
        outputs=["import/prob:0"],
        constants={"import/training:0": False},
    )
    model = assert_equals_tensorflow(graph, batches=(1,))  # a second of a CPU and 0.5 GB each
    assert [(v.name, dims(v)) for v in model.graph.input] == [("img", ["N", 128, 128, 128, 1])]
    assert {n.op_type for n in model.graph.node} <= {
        *("Conv", "ConvTranspose", "Concat", "MaxPool", "Relu", "Reshape", "Sigmoid", "Transpose")
    }


@needs_tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_file_is_read_in_inference_mode_and_silently(tf, tmp_path, suffix, capfd, caplog):
    import keras

    layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.5), keras.layers.GlobalAveragePooling2D()]
    save_keras(tmp_path / f"m{suffix}", layers, (8, 8, 3))
    capfd.readouterr()
    caplog.clear()
    model = tensorflow.read_keras(tmp_path / f"m{suffix}")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert model.SerializeToString() == (
        tensorflow.read_keras(tmp_path / f"m{suffix}").SerializeToString()
    )
    assert_equals_tensorflow(tensorflow.load_keras(tmp_path / f"m{suffix}"))


@needs_tensorflow
def test_the_loaded_graph_is_what_keras_itself_computes(tf, tmp_path):
    import keras

    model = save_keras(tmp_path / "m.keras", [keras.layers.Conv2D(4, 3)], (8, 8, 3))
    run = tensorflow.reference_runner(tensorflow.load_keras(tmp_path / "m.keras"))
    x = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    (found,) = run({"image": x}).values()
    # The same convolution, as one graph and eagerly.
    np.testing.assert_allclose(found, np.asarray(model(x)), rtol=1e-5, atol=1e-6)


@needs_tensorflow
def test_several_inputs_and_outputs_keep_their_names(tf, tmp_path):
    import keras

    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    joined = keras.layers.Subtract(name="minus")([left, right])
    doubled = keras.layers.Rescaling(2.0, name="double")(left)
    keras.Model([left, right], [joined, doubled]).save(tmp_path / "m.keras")
    model = assert_equals_tensorflow(tensorflow.load_keras(tmp_path / "m.keras"))
    assert [value.name for value in model.graph.input] == ["left", "right"]
    assert [value.name for value in model.graph.output] == ["minus", "double"]


@needs_tensorflow
def test_a_free_axis_needs_an_input_shape(tf, tmp_path):
    import keras

    save_keras(tmp_path / "m.keras", [keras.layers.Conv2D(4, 3)], (None, None, 3))
    with pytest.raises(ImportModelError, match=r"axis 1 of input 'image' has no fixed size"):
        tensorflow.read_keras(tmp_path / "m.keras")
    model = tensorflow.read_keras(tmp_path / "m.keras", input_shapes=[(1, 8, 9, 3)])
    assert dims(model.graph.input[0]) == ["N", 8, 9, 3]
    assert dims(model.graph.output[0]) == ["N", 6, 7, 4]
    with pytest.raises(ImportModelError, match="2 input shapes for 1 inputs"):
        tensorflow.read_keras(tmp_path / "m.keras", input_shapes=[(1, 8, 9, 3)] * 2)


@needs_tensorflow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_and_does_not_run(tf, tmp_path, suffix):
    import keras

    ran = tmp_path / "ran"
    name = str(ran)  # a Path in the closure cannot be saved
    code = keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1], name="trap")
    save_keras(tmp_path / f"m{suffix}", [code], (4,))
    ran.unlink(missing_ok=True)  # it runs when the model is built
    with pytest.raises(ImportModelError, match=r"layer 'trap' is a Lambda, which holds Python"):
        tensorflow.read_keras(tmp_path / f"m{suffix}")
    assert not ran.exists()


def save_weights(path):
    import h5py

    with h5py.File(path, "w") as file:
        file["weight"] = np.zeros(3)


def save_unknown_layer(path):
    config = {"class_name": "Unknown", "module": "elsewhere", "config": {"name": "u"}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")


@needs_tensorflow
@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("m.h5", lambda path: None, "no such Keras file"),
        ("m.h5", lambda path: path.write_bytes(b"garbage"), "not a Keras model file"),
        ("m.h5", save_weights, "holds weights without a model"),
        ("m.keras", save_unknown_layer, r"Keras \S+ cannot read it"),
    ],
)
def test_files_that_are_no_keras_model_are_refused(tmp_path, name, save, message):
    save(tmp_path / name)
    with pytest.raises(ImportModelError, match=message):
        tensorflow.read_keras(tmp_path / name)


@needs_tensorflow
def test_a_saved_model_exported_by_keras_computes_the_same(tf, tmp_path):
    import keras

    layers = [keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = save_keras(tmp_path / "m.keras", layers, (8, 8, 3))
    model.export(tmp_path / "saved", verbose=False)
    assert_equals_tensorflow(tensorflow.load_saved_model(tmp_path / "saved"))
    with pytest.raises(ImportModelError, match=r"no signature 'other'; it has .*serving_default"):
        tensorflow.read_saved_model(tmp_path / "saved", signature="other")


@needs_tensorflow
def test_a_folder_without_saved_model_is_refused(tmp_path):
    with pytest.raises(ImportModelError, match=r"has no saved_model\.pb"):
        tensorflow.read_saved_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(ImportModelError, match="TensorFlow cannot load it"):
        tensorflow.read_saved_model(tmp_path)


@pytest.fixture
def frozen(tf, tmp_path):
    """y = (train ? -1 : 1) * x * 2 over x (any, any, 3), and an operator without ONNX form."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, (None, None, 3), name="x")
        train = v1.placeholder_with_default(True, (), name="train")
        sign = tf.where(train, -1.0, 1.0)
        tf.multiply(sign * x, 2.0, name="y")
        tf.identity(tf.math.bessel_i0(x), name="z")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@needs_tensorflow
@pytest.mark.parametrize(("train", "factor"), [(False, 2.0), (True, -2.0)])
def test_a_constant_fed_to_a_frozen_graph_is_folded(frozen, train, factor):
    graph = tensorflow.load_frozen_graph(
        frozen,
        inputs=["import/x:0"],
        outputs=["y"],
        constants={"train": train},
        input_shapes=[(1, 5, 3)],
    )
    model = assert_equals_tensorflow(graph)
    assert [dims(value) for value in model.graph.input] == [["N", 5, 3]]
    found = onnx_outputs(model, {"x": np.ones((2, 5, 3), np.float32)})
    np.testing.assert_array_equal(found["y"], np.full((2, 5, 3), factor, np.float32))
    assert "Where" not in [node.op_type for node in model.graph.node]


@needs_tensorflow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, r"placeholders are x, train; nodes that no other uses are y, z"),
        ({"outputs": ["nowhere:0"]}, "has no tensor 'nowhere:0'"),
        ({"outputs": ["y:7"]}, "output 7 of node .y., which has 1 output"),
        (
            {"inputs": ["x", "train"], "outputs": ["z"], "input_shapes": None},
            "no output depends on the input 'train'",
        ),
        ({"input_shapes": [(1, 5, 4)]}, "not compatible"),
        ({"input_shapes": None}, "axis 1 of input 'x' has no fixed size"),
        ({"constants": {"train": "text"}}, "graph.pb"),
    ],
)
def test_tensors_that_a_frozen_graph_does_not_have_are_refused(frozen, change, message):
    settings = {"inputs": ["x"], "outputs": ["y"], "input_shapes": [(1, 5, 3)]} | change
    with pytest.raises(ImportModelError, match=message):
        tensorflow.read_frozen_graph(frozen, **settings)


@needs_tensorflow
def test_an_operator_without_onnx_form_is_named(frozen):
    with pytest.raises(UnsupportedOpError, match="BesselI0 node"):
        tensorflow.read_frozen_graph(frozen, inputs=["x"], outputs=["z"], input_shapes=[(1, 5, 3)])


def save_variables(path):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.compat.v1.get_variable("w", (3,), use_resource=False)
    path.write_bytes(graph.as_graph_def().SerializeToString())


@needs_tensorflow
@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("graph.pb", lambda path: None, "no such frozen graph"),
        ("graph.pb", lambda path: path.write_bytes(b"garbage"), "not a binary GraphDef"),
        ("graph.pb", save_variables, "not frozen: 1 variables, the first is 'w'"),
        ("saved_model.pb", lambda path: path.write_bytes(b""), "give its folder"),
    ],
)
def test_files_that_are_no_frozen_graph_are_refused(tf, tmp_path, name, save, message):
    save(tmp_path / name)
    with pytest.raises(ImportModelError, match=message):
        tensorflow.read_frozen_graph(tmp_path / name, inputs=["x"], outputs=["y"])


def test_without_tensorflow_the_extra_to_install_is_named(monkeypatch, tmp_path):
    for name in ("tensorflow", "tf2onnx.convert", "keras"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tf2\[tensorflow\]'"):
        tensorflow.read_keras(tmp_path / "m.h5")
