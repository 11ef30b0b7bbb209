"""What is refused, and that the message names the layer, what was found and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from caffe_oracle import imported, weights
from caffe_writer import CaffeModel, bytes_field, layer_message, number_field, varint

from tf2.errors import ImportModelError, UnsupportedOpError
from tf2.importers.caffe import read_caffe
from tf2.importers.caffe.layers import CONVERTERS
from tf2.importers.caffe.layers.registry import converts
from tf2.importers.caffe.prototxt import MAX_DEPTH, parse_prototxt
from tf2.importers.caffe.wire import MAX_FIELDS, FieldBudget, read_fields

CONV = "convolution_param {{ num_output: 4 kernel_size: 3 {} }}"
CONV_BLOBS = [weights(4, 3, 3, 3), weights(4)]


@pytest.mark.parametrize(
    ("layer_type", "params", "message"),
    [
        ("Mystery", "", "not supported; supported are AbsVal.*outputs="),
        ("ReLU", "relu_param { slope: 1 }", "'slope'; understood are negative_slope"),
        ("ReLU", "prelu_param { channel_shared: true }", "'prelu_param', which a layer of this"),
        ("ReLU", "colour: 3", "the field 'colour' of a layer is not understood"),
        ("ReLU", "relu_param { negative_slope: nan }", "must be a finite float32 number"),
        ("ReLU", "relu_param { negative_slope: 1e39 }", "must be a finite float32 number"),
        ("ReLU", "relu_param { negative_slope { } }", "it must be a plain value"),
        ("Power", "power_param { scale: 1e }", "must be a finite float32 number"),
        ("Exp", "exp_param { base: -2 }", "base is -2.0; it must be positive"),
        ("Exp", "exp_param { base: 1e38 scale: 3e38 }", "which float32 cannot hold"),
        ("Log", "log_param { base: 1 }", "base is 1"),
        ("Softmax", "softmax_param { axis: 0 }", "axis 0 is the batch"),
        ("Softmax", "softmax_param { axis: 4 }", "axis 4 is outside"),
        ("Softmax", "softmax_param { axis: 1.5 }", "axis is 1.5; it must be an integer"),
        ("Dropout", "dropout_param { scale_train: false }", "scales at inference"),
        ("Dropout", "dropout_param { scale_train: maybe }", "must be true or false"),
        ("LRN", "lrn_param { local_size: 4 }", "odd sizes only"),
        ("LRN", "lrn_param { norm_region: DIAGONAL }", "one of ACROSS_CHANNELS, WITHIN_CHANNEL"),
        ("Pooling", "", "kernel_size is missing"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "STOCHASTIC"),
        ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "must be smaller than the kernel"),
        ("Pooling", "pooling_param { kernel_size: 2 kernel_h: 2 }", "no kernel_size beside them"),
        ("Pooling", "pooling_param { kernel_h: 2 }", "must be given together"),
        ("Pooling", "pooling_param { kernel_size: 2 stride: 0 }", "must be an integer in 1"),
        ("Pooling", "pooling_param { global_pooling: true kernel_size: 2 }", "exclude each other"),
        ("Pooling", "pooling_param { global_pooling: true pad: 1 }", "global_pooling needs pad 0"),
        ("Pooling", "pooling_param { kernel_size: 1 stride: 9 }", "a window lies outside"),
        ("Flatten", "flatten_param { axis: 2 end_axis: 1 }", "end_axis 1 is before axis 2"),
        ("Flatten", "flatten_param { axis: 0 }", "axis 0 is the batch"),
        ("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", "more than one -1"),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 7 } }", "does not fit the 192 values"),
        ("Reshape", "reshape_param { shape { dim: -1 dim: 3 } }", "mixing the images of a batch"),
        ("Reshape", "reshape_param { axis: 5 }", "go beyond its input"),
        ("Reshape", "reshape_param { shape { dim: 0 } axis: 4 }", "has no axis 4"),
        ("Reshape", "reshape_param { shape: 3 }", "must be a block"),
        ("Reshape", f"reshape_param {{ shape {{ {'dim: 1 ' * 33} }} }}", "more than 32 axes"),
        ("Permute", "permute_param { order: 1 }", "moves axis 0, the batch"),
        ("Permute", "permute_param { order: 0 order: 0 }", "name each axis"),
        ("Slice", "slice_param { slice_point: 1 }", "1 slice points make 2 tops, it has 1"),
        ("Slice", "slice_param { axis: 1 slice_dim: 1 }", "exclude each other"),
        ("Upsample", "", "its factor must be given once"),
        ("Interp", "", "must be given in one way"),
        ("Interp", "interp_param { zoom_factor: 2 pad_beg: -1 }", "pad_beg and pad_end must be 0"),
        ("Interp", "interp_param { height: 1048576 width: 1048576 }", "at most 2\\*\\*31-1"),
        ("ArgMax", "argmax_param { axis: 1 top_k: 4 }", "top_k is 4 of 3 values"),
        ("Convolution", "convolution_param { kernel_size: 3 }", "num_output is missing"),
        ("Convolution", "convolution_param { num_output: 4 }", "kernel_size is missing"),
        ("Convolution", CONV.format("group: 2"), "cannot be split into 2 groups"),
        ("Convolution", CONV.format("axis: 2"), "axis is not 1"),
        ("Convolution", CONV.format("pad: [1, 1, 1]"), "pad has 3 values; give 1 or 2"),
        ("Convolution", CONV.format("stride: 9999999"), "must be an integer in 1..1048576"),
        ("Convolution", CONV.format("magic: 1"), "'magic'; understood are"),
        ("Convolution", CONV.format(""), "no weights are given for it; it needs 2 arrays"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "statistics of each batch"),
        ("Scale", "scale_param { axis: 3 num_axes: 2 }", "goes beyond its input"),
        ("Concat", "concat_param { axis: 1 concat_dim: 1 }", "exclude each other"),
        ("Eltwise", "", "has 1 bottoms; supported is 2 or more"),
        ("Crop", "", "has 1 bottoms; supported is 2"),
        ("PriorBox", "", "has 1 bottoms; supported is 2"),
    ],
)
def test_parameters_of_one_layer(tmp_path, layer_type, params, message):
    with pytest.raises(UnsupportedOpError, match=message) as error:
        imported(CaffeModel().add(layer_type, params), tmp_path)
    assert error.value.node == "y"
    assert error.value.op == layer_type


@pytest.mark.parametrize(
    ("layer_type", "params", "other", "message"),
    [
        ("Concat", "", (1, 3, 8, 7), "must be the same but for axis 1"),
        ("Concat", "", (1, 3, 8), "must be the same but for axis 1"),
        ("Eltwise", "", (1, 2, 8, 8), "must be the same;|must be the same"),
        ("Eltwise", "eltwise_param { coeff: 1 }", (1, 3, 8, 8), "1 coeff for 2 bottoms"),
        ("Eltwise", "eltwise_param { operation: MAX coeff: [1, 2] }", (1, 3, 8, 8), "with SUM"),
        ("Scale", "", (1, 3), "does not fit its first"),
        ("Scale", "", (3, 8, 8), "batch sizes"),
        ("Crop", "", (1, 3, 9, 8), "leave the first's"),
        ("Crop", "crop_param { offset: [1, 1, 1] }", (1, 3, 4, 4), "3 offsets; give 1, or 2"),
        ("Crop", "", (1, 3, 4), "not the same axes"),
        ("PriorBox", "", (1, 3, 9, 9), "min_size must be given"),
        ("PriorBox", "prior_box_param { min_size: 4 max_size: 3 }", (1, 3, 9, 9), "must be above"),
        ("PriorBox", "prior_box_param { min_size: 4 step: -1 }", (1, 3, 9, 9), "must be positive"),
        (
            "PriorBox",
            "prior_box_param { min_size: 4 step_h: 1 }",
            (1, 3, 9, 9),
            "step_h and step_w",
        ),
        ("PriorBox", "prior_box_param { min_size: 4 variance: [1, 2] }", (1, 3, 9, 9), "1 or 4"),
        ("PriorBox", "prior_box_param { min_size: 4 }", (1, 3), "the image, has the shape"),
        ("Interp", "interp_param { zoom_factor: 2 }", (1, 3, 9, 9), "in one way"),
        ("Interp", "", (1, 3, 9), "4 axes are supported"),
    ],
)
def test_two_bottoms(tmp_path, layer_type, params, other, message):
    model = CaffeModel(inputs={"other": other})
    with pytest.raises(ImportModelError, match=message):
        imported(model.add(layer_type, params, bottoms=("data", "other")), tmp_path)


def test_detection_output_names_the_way_around(tmp_path):
    model = CaffeModel().add("Flatten", name="loc").add("Flatten", name="conf")
    model.add("DetectionOutput", "detection_output_param { nms_param { top_k: 3 } }",
              bottoms=("loc", "conf", "loc"))  # fmt: skip
    with pytest.raises(UnsupportedOpError, match=r"outputs=\['loc', 'conf', 'loc'\]"):
        imported(model, tmp_path)


@pytest.mark.parametrize(
    ("blobs", "message"),
    [
        (CONV_BLOBS[:1], "has 1 arrays for it, 2 are expected"),
        ([*CONV_BLOBS, weights(4)], "has 3 arrays for it, 2 are expected"),
        ([weights(4, 3, 3, 2), weights(4)], r"shape \(4, 3, 3, 2\), expected \(4, 3, 3, 3\)"),
        ([weights(4, 3, 3, 3), weights(3)], r"array 1 .* shape \(3,\), expected \(4,\)"),
        ([weights(4, 3, 3, 3) * np.nan, weights(4)], "array 0 of the caffemodel holds NaN"),
        ([weights(4, 3, 3, 3), weights(4) + np.inf], "array 1 of the caffemodel holds NaN"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, blobs, message):
    model = CaffeModel().add("Convolution", CONV.format(""), blobs)
    with pytest.raises(UnsupportedOpError, match=message):
        imported(model, tmp_path)


def test_weights_for_a_layer_that_has_none(tmp_path):
    with pytest.raises(UnsupportedOpError, match="a layer of this type has none"):
        imported(CaffeModel().add("ReLU", "", [weights(3)]), tmp_path)


@pytest.mark.parametrize("layer_type", ["Scale", "Bias"])
def test_weights_for_a_layer_whose_numbers_are_a_bottom(tmp_path, layer_type):
    model = CaffeModel((1, 3, 4, 4), inputs={"b": (1, 3, 4, 4)})
    block = f"{layer_type.lower()}_param {{ axis: 0 }}"
    model.add(layer_type, block, [weights(3)], bottoms=("data", "b"))
    with pytest.raises(UnsupportedOpError, match="has 1 arrays for it, none are expected"):
        imported(model, tmp_path)


def test_one_name_for_two_layers_with_weights(tmp_path):
    slope = [weights(3)]
    model = CaffeModel().add("PReLU", "", slope, name="a", tops=("b",))
    model.text += 'layer { name: "a" type: "PReLU" bottom: "b" top: "c" }'
    with pytest.raises(UnsupportedOpError, match="two layers with weights bear this name"):
        imported(model, tmp_path)
    model.add("PReLU", "", slope, name="a", bottoms=("c",), tops=("d",))
    with pytest.raises(ImportModelError, match="two layers named 'a' with weights"):
        imported(model, tmp_path)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ([0.0, -1.0, 1.0], "variance \\+ eps is not positive"),
        ([0.0, 1e38, 1e-30], "leave float32"),
    ],
)
def test_batch_norm_statistics_that_cannot_be(tmp_path, statistics, message):
    mean, variance, factor = statistics
    blobs = [np.full(3, mean), np.full(3, variance), np.array([factor])]
    with pytest.raises(UnsupportedOpError, match=message):
        imported(CaffeModel().add("BatchNorm", "", blobs), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no layers"),
        ('net: "x" base_lr: 0.1', "has no layers.*solver"),
        ("layer {", "missing. Is the file complete"),
        ("layer { name: ]", "found ']', expected a value"),
        ("layer { name }", "expected ':' or"),
        ("layer { 3: 4 }", "expected a field name"),
        ("layer { a: [1 2] }", "expected ',' or ']'"),
        ("layer @", "cannot read '@'"),
        ('layer { name: "a\n" }', "line 1: cannot read"),
        ("\0\0", "binary data; give the text file first"),
        ("layer { } layers { }", "both 'layer' and 'layers'"),
        ("layer { }", "a layer has no name"),
        ('layer { name: "a" }', "a layer has no type"),
        ("layer: 3", "must be a block"),
        ('layer { name: "a" type: "ReLU" bottom: "" }', "bottom or top without a name"),
        ('input: "a" input: "a" layer { name: "a" type: "ReLU" }', "each needs a name of its own"),
        ("layer { name: abc }", "must be a text in quotes"),
        ('layers { layer { name: "a" } }', "V0 format of 2013"),
        ('layers { name: "a" type: "ReLU" }', "no layer type of the V1 format"),
        ('layers { name: "a" }', "a layer has no type"),
        ('layer { name: "a" type: "ReLU" } lr: 3', "line 1: a net has no field 'lr'"),
        ('input: "x" input_dim: 1 layer { name: "a" type: "ReLU" }', "needs 4 input_dim or"),
        ('input: "x" input_dim: 1 input_shape { } layer { }', "both input_dim and|no name"),
        ('input: "x" input_dim: q layer { name: "a" type: "ReLU" }', "an input dimension is q"),
        ('layer { name: "a" type: "ReLU" bottom: "b" top: "c" }', "made by no layer before it"),
        (
            'input: "x" layer { name: "a" type: "ReLU" bottom: "x" top: "c" }',
            "has no shape.*input_",
        ),
        ('layer { name: "a" type: "Silence" bottom: "b" }', "no output.*'a' \\(Silence\\)"),
        ('layer { name: "a" type: "ReLU" include { } exclude { } }', "Caffe takes one kind"),
        ('layer { name: "a" type: "ReLU" include { moon: 1 } }', "'moon'; understood are"),
        ("layer { " * (MAX_DEPTH + 2), "nest deeper than 16"),
    ],
)
def test_prototxt_that_is_no_net(tmp_path, text, message):
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    with pytest.raises(ImportModelError, match=message):
        read_caffe(path, None)


@pytest.mark.parametrize("kind", ["Data", "MemoryData", "ImageData", "HDF5Data", "DummyData"])
def test_data_layers(tmp_path, kind):
    model = CaffeModel().add(kind, bottoms=(), tops=("pixels",), name="d")
    model.add("ReLU", bottoms=("pixels",))
    with pytest.raises(UnsupportedOpError, match=f"type {kind}, which reads training data.*Input"):
        imported(model, tmp_path)


def test_a_layer_behind_a_loss(tmp_path):
    model = CaffeModel().add("EuclideanLoss", name="loss", bottoms=("data", "data"))
    model.add("Power", name="y", bottoms=("loss",))
    with pytest.raises(UnsupportedOpError, match="EuclideanLoss, which exists for training only"):
        imported(model, tmp_path)


def test_wiring(tmp_path):
    model = CaffeModel().add("ReLU").add("ELU", name="z", tops=("y",))
    with pytest.raises(UnsupportedOpError, match="its top 'y' is also made by a layer before"):
        imported(model, tmp_path)
    with pytest.raises(UnsupportedOpError, match="repeat a name"):
        imported(CaffeModel().add("Split", tops=("a", "a")), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ["nothing"]}, "'nothing' asked for in outputs does not exist; possible are y"),
        ({"outputs": ["data"]}, "is an input"),
        ({"outputs": ["acc"]}, r"'acc' \(Accuracy\), which is not part of inference"),
        ({"outputs": ["y", "y"]}, "name a blob twice"),
        ({"outputs": []}, "the net has no output"),
        ({"input_shapes": {"dada": (1, 3)}}, "input_shapes names \\['dada'\\].*inputs are data"),
        ({"input_shapes": {"data": (1, 0)}}, "sizes must be integers from 1"),
        ({"input_shapes": {"data": (1, 2.5)}}, "sizes must be integers from 1"),
        ({"input_shapes": {"data": (1, 2**20, 2**20)}}, "at most 2\\*\\*31-1 values"),
    ],
)
def test_options(tmp_path, options, message):
    model = CaffeModel().add("ReLU").add("Accuracy", name="acc")
    with pytest.raises(ImportModelError, match=message):
        imported(model, tmp_path, **options)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ImportModelError, match=r"net\.prototxt: cannot be read"):
        read_caffe(tmp_path / "net.prototxt", None)
    (tmp_path / "net.prototxt").write_text(CaffeModel().add("ReLU").text)
    with pytest.raises(ImportModelError, match="cannot be read"):
        read_caffe(tmp_path / "net.prototxt", tmp_path)
    with (tmp_path / "big.prototxt").open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ImportModelError, match="larger than 16777216 bytes"):
        read_caffe(tmp_path / "big.prototxt", None)


def blob_message(*fields: bytes) -> bytes:
    return layer_message("y", "PReLU", [b"".join(fields)])


def shape_field(*dims: int) -> bytes:
    return bytes_field(7, bytes_field(1, b"".join(varint(dim) for dim in dims)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (varint(100 << 3 | 2) + varint(1 << 40), "declares 1099511627776 bytes and 0 are left"),
        (b"\x0a\xff", "ends inside a number"),
        (b"\xff" * 11, "more than 10 bytes"),
        (b"\x00\x00", "field number 0"),
        (b"\x0b", "wire type 3"),
        (number_field(100, 3), "not 2"),
        (bytes_field(2, bytes_field(1, b"")), "V0 format of 2013"),
        (blob_message(shape_field(1 << 40)), "1099511627776 values, and holds 0"),
        (blob_message(shape_field(-1)), "negative shape"),
        (blob_message(shape_field(*[1] * 40)), "more than 32 axes"),
        (blob_message(bytes_field(5, b"abc")), "no whole number of 32-bit floats"),
        (blob_message(number_field(5, 3)), "no whole number of 32-bit floats"),
        (
            blob_message(bytes_field(5, b"0123"), bytes_field(8, b"01234567")),
            "both float and double",
        ),
        (blob_message(bytes_field(12, b"ab")), "half precision"),
        (
            blob_message(shape_field(3), bytes_field(8, np.full(3, 1e300).tobytes())),
            "beyond float32",
        ),
    ],
)
def test_caffemodel_that_is_damaged(tmp_path, data, message):
    model = CaffeModel().add("PReLU")
    model.weights = data
    with pytest.raises(ImportModelError, match=message):
        imported(model, tmp_path)


def test_a_file_of_tiny_fields_ends(tmp_path):
    assert FieldBudget().left == MAX_FIELDS
    with pytest.raises(ImportModelError, match="more than 1000000 fields"):
        list(read_fields(memoryview(b"\x08\x00" * 11), FieldBudget(left=10)))


def test_strings_and_numbers_of_the_text_format():
    message = parse_prototxt(
        rb'a: "x\n\x41\101\"" ' b"'y' # c\n b: -.5e3f; c <d: 1>, e: [] \xff:1".replace(
            b"\xff:1", b""
        )
    )
    assert message.strings("a") == ['x\nAA"y']
    assert [name for name, _ in message.fields] == ["a", "b", "c"]


def test_a_layer_type_cannot_be_registered_twice():
    assert "ReLU" in CONVERTERS
    with pytest.raises(AssertionError, match="registered twice"):
        converts("ReLU")(CONVERTERS["ReLU"].convert)
