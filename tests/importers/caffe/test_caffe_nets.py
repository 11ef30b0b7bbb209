"""Whole networks: wiring, names, phases, V1 files, and the published nets where at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from caffe_oracle import imported, random_inputs, run_onnx, run_opencv, weights
from caffe_writer import CaffeModel, blob, v1_layer_message

from tf2.importers.caffe import read_caffe

MODELS = Path(__file__).resolve().parents[3].parent / "shared/models"


def published(folder: str, prototxt: str, caffemodel: str) -> tuple[Path, Path]:
    path = MODELS / folder
    if not path.is_dir():
        pytest.skip(f"the published models are not at hand: no folder ../shared/models/{folder}")
    return path / prototxt, path / caffemodel


@pytest.mark.parametrize(
    ("folder", "prototxt", "caffemodel", "outputs"),
    [
        ("squeezenet-v1.1-caffe", "deploy.prototxt", "squeezenet_v1.1.caffemodel", None),
        ("mtcnn-caffe", "det1.prototxt", "det1.caffemodel", None),
        ("mtcnn-caffe", "det2.prototxt", "det2.caffemodel", None),
        ("mtcnn-caffe", "det3.prototxt", "det3.caffemodel", None),
        (
            "ssd-res10-face-caffe",
            "deploy.prototxt",
            "res10_300x300_ssd_iter_140000.caffemodel",
            ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"],
        ),
    ],
)
def test_published_net_is_as_opencv(folder, prototxt, caffemodel, outputs):
    files = published(folder, prototxt, caffemodel)
    model = read_caffe(*files, outputs=outputs)
    onnx.checker.check_model(model, full_check=True)
    size = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    rng = np.random.default_rng(0)
    scale, batch = (1, 3) if folder == "mtcnn-caffe" else (100, 1)  # what the nets were made for
    x = rng.uniform(-scale, scale, (batch, *size)).astype(np.float32)
    names = [output.name for output in model.graph.output]
    expected = run_opencv(*(path.read_bytes() for path in files), names, data=x)
    for found, want in zip(run_onnx(model, data=x), expected, strict=True):
        # Up to 60 layers of float32, each in another order of summation.
        np.testing.assert_allclose(found, want.reshape(found.shape), rtol=1e-4, atol=2e-5)


def small_net() -> CaffeModel:
    """Return two convolutions with in-place layers, and a branch."""
    model = CaffeModel((1, 3, 8, 8))
    conv = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"
    model.add("Convolution", conv, [weights(4, 3, 3, 3), weights(4)], name="conv1")
    model.add("ReLU", name="relu1", bottoms=("conv1",), tops=("conv1",))
    model.add("Dropout", name="drop1", bottoms=("conv1",), tops=("conv1",))
    blobs = [weights(4, 4, 3, 3), weights(4)]
    model.add("Convolution", conv, blobs, name="conv2", bottoms=("conv1",), tops=("c2",))
    model.add("Eltwise", name="sum", bottoms=("conv1", "c2"))
    return model


def test_names_are_the_files(tmp_path):
    model = imported(small_net(), tmp_path)
    nodes = model.graph.node
    assert [node.name for node in nodes] == ["conv1", "relu1", "drop1", "conv2", "sum"]
    assert [node.output[0] for node in nodes] == [
        "conv1/conv1", "conv1/relu1", "conv1", "c2", "sum",
    ]  # fmt: skip
    assert [tensor.name for tensor in model.graph.initializer] == [
        "conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
    ]  # fmt: skip
    assert model.opset_import[0].version == 21
    assert len(model.opset_import) == 1
    assert model.ir_version == 10


def test_batch_is_symbolic_and_images_are_independent(tmp_path):
    model = imported(small_net(), tmp_path)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    x = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    together = run_onnx(model, data=x)[0]
    apart = [run_onnx(model, data=x[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=0, atol=1e-6)


def test_an_in_place_layer_at_the_end_keeps_the_blobs_name(tmp_path):
    model = small_net().add("ReLU", name="last", bottoms=("sum",), tops=("sum",))
    assert [output.name for output in imported(model, tmp_path).graph.output] == ["sum"]


def test_an_in_place_layer_on_the_input_leaves_the_inputs_name_to_the_input(tmp_path):
    model = CaffeModel().add("ReLU", name="r", tops=("data",)).add("ELU")
    nodes = imported(model, tmp_path).graph.node
    assert [(node.input[0], node.output[0]) for node in nodes] == [
        ("data", "data/r"),
        ("data/r", "y"),
    ]


def test_outputs_cut_the_network_and_what_is_behind_is_not_looked_at(tmp_path):
    model = small_net().add("Mystery", name="mystery", bottoms=("sum",))
    cut = imported(model, tmp_path, outputs=["conv1"])
    assert [node.name for node in cut.graph.node] == ["conv1", "relu1", "drop1"]
    assert [output.name for output in cut.graph.output] == ["conv1"]


def test_input_shapes_replace_the_declared_ones(tmp_path):
    model = imported(small_net(), tmp_path, input_shapes={"data": (5, 3, 16, 12)})
    dims = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", 4, 16, 12]


TRAIN_VAL = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        transform_param { mirror: true } data_param { source: "x" batch_size: 2 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
        data_param { source: "y" batch_size: 2 } }
layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }
layer { name: "noise" type: "Power" bottom: "relu" top: "relu" exclude { phase: TEST }
        power_param { scale: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "relu" bottom: "label" top: "loss"
        loss_param { ignore_label: 3 } softmax_param { axis: 1 } }
layer { name: "acc" type: "Accuracy" bottom: "relu" bottom: "label" top: "acc"
        accuracy_param { top_k: 5 } include { phase: TEST } }
"""


def test_a_training_net_is_read_without_what_is_for_training(tmp_path):
    model = CaffeModel()
    model.text = TRAIN_VAL
    result = imported(model, tmp_path, input_shapes={"data": (1, 3, 4, 4)})
    assert [node.op_type for node in result.graph.node] == ["Relu"]
    assert [output.name for output in result.graph.output] == ["relu"]
    dropped = {entry.key: entry.value for entry in result.metadata_props}
    assert dropped == {"caffe.dropped_layers": "loss (SoftmaxWithLoss), acc (Accuracy)"}


@pytest.mark.parametrize(
    "rule",
    [
        "exclude { phase: TRAIN }",
        "include { phase: TEST min_level: 0 }",
        'include { stage: "a" } include { not_stage: "b" }',
    ],
)
def test_phase_rules_that_keep_a_layer(tmp_path, rule):
    model = CaffeModel().add("ReLU", name="a").add("Power", rule, name="y", bottoms=("a",))
    assert len(imported(model, tmp_path).graph.node) == 2


@pytest.mark.parametrize(
    "rule",
    ["include { phase: TRAIN }", "exclude { phase: TEST }", "include { min_level: 1 }",
     'include { phase: TEST stage: "deploy" }'],
)  # fmt: skip
def test_phase_rules_that_drop_a_layer(tmp_path, rule):
    model = CaffeModel().add("ReLU", name="a").add("Power", rule, name="y", bottoms=("a",))
    assert len(imported(model, tmp_path).graph.node) == 1


V1_NET = """
name: 'LeNet'  # single quotes, comments
input: "data"
{input}
layers {{ name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2.
  weight_decay: 1 convolution_param {{ num_output: 4 kernel_size: 3
  weight_filler: {{ type: "xavier" }} }} }}
layers {{ name: "relu" type: RELU bottom: "conv" top: "conv" }}
layers {{ name: "pool" type: POOLING bottom: "conv" top: "pool"
  pooling_param < pool: MAX; kernel_size: 2, stride: 2 > }}
layers {{ name: "ip" type: INNER_PRODUCT bottom: "pool" top: "ip"
  inner_product_param {{ num_output: 0x5 }} }}
layers {{ name: "prob" type: SOFTMAX bottom: "ip" top: "prob" }}
"""


@pytest.mark.parametrize(
    "declared",
    [
        "input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9",
        "input_dim: [2, 3, 9, 9]",
        "input_shape { dim: 2 dim: 3 dim: 9 dim: 9 }",
    ],
)
def test_v1_files_with_legacy_inputs_and_shapes(tmp_path, declared):
    model = CaffeModel((2, 3, 9, 9))
    model.text = V1_NET.format(input=declared)
    conv = [blob(a, "legacy") for a in (weights(4, 3, 3, 3), weights(4))]
    ip = [blob(a, "legacy") for a in (weights(5, 4 * 4 * 4), weights(5))]
    model.weights = v1_layer_message("conv", "Convolution", conv)
    model.weights += v1_layer_message("ip", "InnerProduct", ip)
    x = random_inputs(model)
    found = run_onnx(imported(model, tmp_path), **x)[0]
    # OpenCV wants the four numbers of the plain legacy form.
    text = V1_NET.format(input="input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 9")
    expected = run_opencv(text.encode(), model.weights, ["prob"], **x)[0]
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-6)


def test_a_net_without_weights_needs_no_caffemodel(tmp_path):
    model = CaffeModel().add("ReLU")
    (tmp_path / "net.prototxt").write_text(model.text)
    result = read_caffe(tmp_path / "net.prototxt", None)
    assert [node.op_type for node in result.graph.node] == ["Relu"]


def test_two_layers_may_bear_one_name_where_neither_has_weights(tmp_path):
    model = CaffeModel().add("ReLU", name="a").add("ELU", name="a", bottoms=("a",), tops=("b",))
    assert [node.name for node in imported(model, tmp_path).graph.node] == ["a", "a_2"]
