"""Every other layer type, against OpenCV, or against Caffe's definition where OpenCV differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_oracle import assert_as_opencv, imported, random_inputs, run_onnx, weights
from caffe_writer import CaffeModel

from tf2.importers.caffe.layers import CONVERTERS


def result_of(model: CaffeModel, folder, *, positive: bool = False) -> tuple[np.ndarray, dict]:
    """Return the first output of the imported model and the inputs in double."""
    inputs = random_inputs(model, positive=positive)
    found = run_onnx(imported(model, folder), **inputs)[0]
    return found, {name: value.astype(np.float64) for name, value in inputs.items()}


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    # float32 against double: a few roundings of values about 1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == expected.shape


@pytest.mark.parametrize(
    ("layer_type", "params"),
    [
        ("ReLU", ""),
        ("ReLU", "relu_param { negative_slope: 0.1 engine: CAFFE }"),
        ("ReLU6", ""),
        ("ELU", ""),
        ("ELU", "elu_param { alpha: 0.5 }"),
        ("Sigmoid", ""),
        ("TanH", ""),
        ("AbsVal", ""),
        ("Power", ""),
        ("Power", "power_param { scale: 0.5 shift: -1.5 }"),
        ("Power", "power_param { power: 2 scale: 3 shift: 1 }"),
        ("Exp", ""),
        ("Exp", "exp_param { base: 2 scale: 0.5 shift: 0.25 }"),
        ("Softmax", ""),
        ("Softmax", "softmax_param { axis: 2 }"),
        ("Softmax", "softmax_param { axis: -1 }"),
        ("Dropout", "dropout_param { dropout_ratio: 0.5 }"),
        ("Flatten", ""),
        ("Flatten", "flatten_param { axis: 2 }"),
        ("Flatten", "flatten_param { axis: 1 end_axis: 2 }"),
        ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }"),
        ("Reshape", "reshape_param { shape { dim: -1 dim: 9 } axis: 1 num_axes: 2 }"),
        ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
        ("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 }"),
        ("Interp", "interp_param { height: 9 width: 13 }"),
        ("Interp", "interp_param { zoom_factor: 3 }"),
    ],
)
def test_layer_without_weights(tmp_path, layer_type, params):
    assert_as_opencv(CaffeModel((2, 3, 6, 8)).add(layer_type, params), tmp_path)


def test_reshape_of_an_axis_with_zero_and_minus_one_of_each_place(tmp_path):
    for shape, axis, expected in (
        ("dim: 0 dim: 0 dim: -1", 0, (2, 3, 48)),
        ("dim: 2 dim: -1", 0, (2, 144)),
        ("dim: -1 dim: 144", 0, (2, 144)),
        ("dim: 8 dim: 6", -2, (2, 3, 8, 6)),
    ):
        num_axes = "num_axes: 2" if axis == -2 else ""
        start = -3 if axis == -2 else axis  # counted from behind the last axis
        params = f"reshape_param {{ shape {{ {shape} }} axis: {start} {num_axes} }}"
        model = CaffeModel((2, 3, 6, 8)).add("Reshape", params)
        found, inputs = result_of(model, tmp_path)
        assert_close(found, inputs["data"].reshape(expected))


@pytest.mark.parametrize("params", ["", "log_param { base: 10 scale: 2 shift: 0.5 }"])
def test_log(tmp_path, params):
    model = CaffeModel((2, 3, 6, 8)).add("Log", params)
    found, inputs = result_of(model, tmp_path, positive=True)
    x = inputs["data"]
    assert_close(found, np.log10(2 * x + 0.5) if params else np.log(x))  # not in OpenCV 4.14


@pytest.mark.parametrize("params", ["", "prelu_param { channel_shared: true }"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3)])
def test_prelu(tmp_path, params, shape):
    slopes = np.array([0.25], np.float32) if params else weights(3, seed=4)
    model = CaffeModel(shape).add("PReLU", params, [slopes])
    found, inputs = result_of(model, tmp_path)
    x = inputs["data"]
    per_channel = slopes.reshape(1, -1, *[1] * (len(shape) - 2))
    assert_close(found, np.where(x > 0, x, x * per_channel))
    if not params:
        assert_as_opencv(model, tmp_path)


@pytest.mark.parametrize("factor", [1.0, 999.98, 0.25])
def test_batch_norm(tmp_path, factor):
    mean, variance = weights(3, seed=5), np.abs(weights(3, seed=6)) + 0.1
    blobs = [mean * factor, variance * factor, np.array([factor])]
    for params in ("", "batch_norm_param { use_global_stats: true eps: 0.01 }"):
        model = CaffeModel((2, 3, 4, 5)).add("BatchNorm", params, blobs)
        assert_as_opencv(model, tmp_path)


def test_batch_norm_of_factor_zero_has_no_statistics(tmp_path):
    blobs = [weights(3), weights(3) ** 2, np.zeros(1)]
    model = CaffeModel((2, 3, 4, 5)).add("BatchNorm", "batch_norm_param { eps: 0.25 }", blobs)
    found, inputs = result_of(model, tmp_path)
    assert_close(found, inputs["data"] / 0.5)


@pytest.mark.parametrize("bias", [True, False])
def test_scale_a_channel(tmp_path, bias):
    params = f"scale_param {{ bias_term: {str(bias).lower()} }}"
    blobs = [weights(3), weights(3, seed=2)][: 1 + bias]
    assert_as_opencv(CaffeModel((2, 3, 4, 5)).add("Scale", params, blobs), tmp_path)


@pytest.mark.parametrize(
    ("params", "shape"),
    [
        ("axis: 1 num_axes: 2", (3, 4, 1)),
        ("axis: 2 num_axes: -1", (4, 5)),
        ("axis: -1", (5,)),
        ("num_axes: 0", ()),
    ],
)
def test_scale_and_bias_of_other_axes(tmp_path, params, shape):
    factors = np.asarray(weights(*(shape or (1,)), seed=3))
    blob = factors.reshape([dim for dim in shape if dim != 1] if shape else ())
    for layer_type, block in (("Scale", "scale_param"), ("Bias", "bias_param")):
        model = CaffeModel((2, 3, 4, 5)).add(layer_type, f"{block} {{ {params} }}", [blob])
        found, inputs = result_of(model, tmp_path)
        x, f = inputs["data"], factors.reshape(shape)
        assert_close(found, x * f if layer_type == "Scale" else x + f)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5)])
def test_scale_and_bias_by_a_second_bottom(tmp_path, shape):
    for layer_type, block in (("Scale", "scale_param"), ("Bias", "bias_param")):
        model = CaffeModel((2, 3, 4, 5), inputs={"other": shape})
        model.add(layer_type, f"{block} {{ axis: 0 }}", bottoms=("data", "other"))
        found, inputs = result_of(model, tmp_path)
        other = inputs["other"].reshape(*shape, *[1] * (4 - len(shape)))
        x = inputs["data"]
        assert_close(found, x * other if layer_type == "Scale" else x + other)


def test_scale_by_a_second_bottom_with_a_learned_bias(tmp_path):
    model = CaffeModel((2, 3, 4, 5), inputs={"other": (2, 3)})
    params = "scale_param { axis: 0 bias_term: true }"
    model.add("Scale", params, [bias := weights(2, 3)], bottoms=("data", "other"))
    found, inputs = result_of(model, tmp_path)
    factors, summands = inputs["other"][..., None, None], bias[..., None, None]
    assert_close(found, inputs["data"] * factors + summands)


def test_lrn_within_a_channel(tmp_path):
    params = "lrn_param { local_size: 3 alpha: 2 beta: 0.75 norm_region: WITHIN_CHANNEL }"
    model = CaffeModel((2, 3, 5, 6)).add("LRN", params)
    found, inputs = result_of(model, tmp_path)
    x = inputs["data"]
    squares = np.pad(x**2, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(squares, (3, 3), axis=(2, 3))
    assert_close(found, x * (1 + 2 * windows.mean(axis=(-1, -2))) ** -0.75)
    assert_as_opencv(model, tmp_path)


@pytest.mark.parametrize("params", ["", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"])
def test_lrn_across_channels(tmp_path, params):
    model = CaffeModel((2, 7, 3, 4)).add("LRN", params)
    found, inputs = result_of(model, tmp_path)
    size, alpha, beta, k = (3, 0.5, 0.6, 2.0) if params else (5, 1.0, 0.75, 1.0)
    # Caffe's formula: OpenCV 4.14 does not read k, nor have Caffe's defaults without a block.
    half = size // 2
    squares = np.pad(inputs["data"] ** 2, [(0, 0), (half, half), (0, 0), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(squares, size, axis=1)
    assert_close(found, inputs["data"] / (k + alpha / size * windows.sum(axis=-1)) ** beta)


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_normalize(tmp_path, across, shared):
    params = (
        f"norm_param {{ across_spatial: {str(across).lower()} "
        f"channel_shared: {str(shared).lower()} scale_filler {{ value: 20 }} }}"
    )
    scale = np.array([20.0]) if shared else weights(3) * 20
    model = CaffeModel((2, 3, 4, 5)).add("Normalize", params, [scale])
    found, inputs = result_of(model, tmp_path)
    x = inputs["data"]
    axes = (1, 2, 3) if across else 1
    norm = np.sqrt((x**2).sum(axis=axes, keepdims=True) + 1e-10)
    assert_close(found, x / norm * scale.reshape(1, -1, 1, 1))
    if shared or not across:  # the fourth case is an assertion in OpenCV 4.14
        assert_as_opencv(model, tmp_path, atol=1e-4)  # scaled by 20


@pytest.mark.parametrize(
    "params",
    [
        "",
        "eltwise_param { operation: PROD }",
        "eltwise_param { operation: MAX }",
        "eltwise_param { operation: SUM coeff: 1 coeff: -0.5 coeff: 2 }",
    ],
)
def test_eltwise_of_three(tmp_path, params):
    shape = (2, 3, 4, 5)
    model = CaffeModel(shape, inputs={"b": shape, "c": shape})
    model.add("Eltwise", params, bottoms=("data", "b", "c"))
    assert_as_opencv(model, tmp_path)


@pytest.mark.parametrize(
    "params", ["", "concat_param { axis: -3 }", "concat_param { concat_dim: 1 }"]
)
def test_concat_of_channels(tmp_path, params):
    model = CaffeModel((2, 3, 4, 5), inputs={"b": (2, 2, 4, 5)})
    model.add("Concat", params, bottoms=("data", "b"))
    assert_as_opencv(model, tmp_path)


def test_concat_of_another_axis(tmp_path):
    model = CaffeModel((2, 3, 4, 5), inputs={"b": (2, 3, 4, 1)})
    model.add("Concat", "concat_param { axis: 3 }", bottoms=("data", "b"))
    assert_as_opencv(model, tmp_path)


@pytest.mark.parametrize(
    ("params", "points", "axis"),
    [
        ("", [2, 4], 1),
        ("slice_param { axis: 1 slice_point: 1 slice_point: 4 }", [1, 4], 1),
        ("slice_param { slice_dim: 3 slice_point: 2 }", [2], 3),
    ],
)
def test_slice(tmp_path, params, points, axis):
    tops = ["u", "v", "w"][: len(points) + 1]
    model = CaffeModel((2, 6, 4, 5)).add("Slice", params, tops=tops)
    result, x = imported(model, tmp_path), random_inputs(model)
    assert [output.name for output in result.graph.output] == tops
    expected = np.split(x["data"], points, axis=axis)
    for found, part in zip(run_onnx(result, **x), expected, strict=True):
        np.testing.assert_array_equal(found, part)


def test_split_gives_each_top_the_same(tmp_path):
    model = CaffeModel().add("Split", tops=["u", "v", "w"])
    x = random_inputs(model)
    results = run_onnx(imported(model, tmp_path), **x)
    assert len(results) == 3
    assert all(np.array_equal(found, x["data"]) for found in results)


@pytest.mark.parametrize(
    ("params", "start"),
    [
        ("", (0, 0, 0)),
        ("crop_param { axis: 2 offset: 1 }", (0, 1, 1)),
        ("crop_param { axis: 2 offset: 1 offset: 2 }", (0, 1, 2)),
        ("crop_param { axis: 1 offset: 1 offset: 0 offset: 3 }", (1, 0, 3)),
    ],
)
def test_crop(tmp_path, params, start):
    model = CaffeModel((2, 3, 6, 8), inputs={"size": (2, 2, 4, 5)})
    model.add("Crop", params, bottoms=("data", "size"))
    found, inputs = result_of(model, tmp_path)
    channels = 2 if "axis: 1" in params else 3
    ends = [a + n for a, n in zip(start, (channels, 4, 5), strict=True)]
    x = inputs["data"][:, start[0] : ends[0], start[1] : ends[1], start[2] : ends[2]]
    assert_close(found, x)


def arg_max_reference(x: np.ndarray, top_k: int, *, values: bool, axis: int | None) -> np.ndarray:
    """Caffe's argmax_layer.cpp: sorted by (value, index), the greatest first."""
    x, over = (x.reshape(len(x), 1, -1), 2) if axis is None else (x, axis)
    order = np.flip(np.argsort(x, axis=over, kind="stable"), over)
    index = np.take(order, range(top_k), axis=over)
    if not values:
        return index
    best = np.take_along_axis(x, index, over)
    return np.concatenate([index, best], axis=1) if axis is None else best


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("axis", [None, 1, -1])
def test_arg_max_with_ties(tmp_path, top_k, values, axis):
    where = "" if axis is None else f"axis: {axis}"
    params = f"argmax_param {{ top_k: {top_k} out_max_val: {str(values).lower()} {where} }}"
    model = CaffeModel((2, 5, 4, 6)).add("ArgMax", params)
    x = {"data": np.random.default_rng(0).integers(0, 4, (2, 5, 4, 6)).astype(np.float32)}
    found = run_onnx(imported(model, tmp_path), **x)[0]
    expected = arg_max_reference(x["data"], top_k, values=values, axis=axis)
    np.testing.assert_array_equal(found, expected)


def test_upsample_repeats_values(tmp_path):
    model = CaffeModel((2, 3, 4, 5)).add("Upsample", "upsample_param { scale: 3 }")
    found, inputs = result_of(model, tmp_path)
    np.testing.assert_array_equal(found, inputs["data"].repeat(3, axis=2).repeat(3, axis=3))


def test_interp_to_the_size_of_a_second_bottom(tmp_path):
    model = CaffeModel((2, 3, 4, 5), inputs={"size": (2, 1, 8, 9)})
    model.add("Interp", bottoms=("data", "size"))
    fixed = CaffeModel((2, 3, 4, 5)).add("Interp", "interp_param { height: 8 width: 9 }")
    x = random_inputs(model)
    found = run_onnx(imported(model, tmp_path), **x)[0]
    expected = run_onnx(imported(fixed, tmp_path), data=x["data"])[0]
    np.testing.assert_array_equal(found, expected)


def test_interp_that_shrinks_takes_every_second_value(tmp_path):
    model = CaffeModel((2, 3, 7, 9)).add("Interp", "interp_param { shrink_factor: 2 }")
    found, inputs = result_of(model, tmp_path)  # OpenCV 4.14 does not know shrink_factor
    assert_close(found, inputs["data"][:, :, ::2, ::2])


def prior_boxes(height, width, image, step, offset, boxes, clip) -> np.ndarray:
    """SSD's loops (prior_box_layer.cpp) over positions and boxes, each (width, height)."""
    values = []
    for h in range(height):
        for w in range(width):
            x, y = (w + offset) * step[1], (h + offset) * step[0]
            for box in boxes:
                low = (x - box[0] / 2) / image[1], (y - box[1] / 2) / image[0]
                values += [*low, (x + box[0] / 2) / image[1], (y + box[1] / 2) / image[0]]
    return np.clip(values, 0, 1) if clip else np.array(values)


ROOT2, ROOT3 = 2**0.5, 3**0.5


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("min_size: 10", {"boxes": [(10, 10)]}),
        (
            "min_size: 10 max_size: 20 aspect_ratio: 2 aspect_ratio: 3 aspect_ratio: 2 flip: true "
            "clip: false variance: 0.1",
            {
                "boxes": [
                    (10, 10),
                    (200**0.5, 200**0.5),
                    (10 * ROOT2, 10 / ROOT2),
                    (10 / ROOT2, 10 * ROOT2),
                    (10 * ROOT3, 10 / ROOT3),
                    (10 / ROOT3, 10 * ROOT3),
                ]
            },
        ),
        (
            "min_size: 10 aspect_ratio: 2 flip: false clip: true step: 4 offset: 0.25",
            {"boxes": [(10, 10), (10 * ROOT2, 10 / ROOT2)], "clip": True, "offset": 0.25},
        ),
        (
            "min_size: 4 min_size: 9 max_size: 8 max_size: 12 clip: false variance: 0.1 "
            "variance: 0.1 variance: 0.2 variance: 0.2 step_h: 4 step_w: 5",
            {
                "boxes": [(4, 4), (32**0.5, 32**0.5), (9, 9), (108**0.5, 108**0.5)],
                "step": (4, 5),
                "variance": [0.1, 0.1, 0.2, 0.2],
            },
        ),
        (
            "min_size: 7.9 img_h: 40 img_w: 50 variance: 0.3",  # Caffe cuts sizes to integers
            {"boxes": [(7, 7)], "image": (40, 50), "step": (5, 5), "variance": [0.3]},
        ),
    ],
)
def test_prior_box(tmp_path, params, expected):
    model = CaffeModel((1, 3, 32, 40))
    model.add("Pooling", "pooling_param { kernel_size: 4 stride: 4 }", name="map")
    model.add("PriorBox", f"prior_box_param {{ {params} }}", bottoms=("map", "data"))
    result = imported(model, tmp_path)
    found = run_onnx(result, **random_inputs(model))[0]
    settings = {"image": (32, 40), "step": (4, 4), "offset": 0.5, "clip": False, **expected}
    variance = settings.pop("variance", [0.1])
    corners = prior_boxes(8, 10, **settings)
    np.testing.assert_allclose(found[0, 0], corners, rtol=0, atol=1e-6)  # float32 of about 1
    np.testing.assert_array_equal(found[0, 1], np.resize(np.float32(variance), len(corners)))
    assert result.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1  # has no batch
    # OpenCV 4.14 clips by default (SSD does not), has no default variance and reads no img_h.
    if "clip" in params and "variance" in params:
        assert_as_opencv(model, tmp_path)


def test_every_registered_layer_type_is_in_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert not [layer_type for layer_type in CONVERTERS if f'"{layer_type}"' not in tests]
