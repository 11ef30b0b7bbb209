"""Convolution, Deconvolution and InnerProduct against OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from caffe_oracle import assert_as_opencv, imported, random_inputs, run_onnx, weights
from caffe_writer import CaffeModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.tuples(st.integers(5, 11), st.integers(5, 11)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2),
    group=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
)
def test_convolution_of_any_window(tmp_path, size, kernel, stride, pad, dilation, group, bias):
    extent = [dilation * (k - 1) + 1 for k in kernel]
    if any(e > s + 2 * p for e, s, p in zip(extent, size, pad, strict=True)):
        return
    params = (
        f"convolution_param {{ num_output: 8 kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
        f"stride_h: {stride[0]} stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} "
        f"dilation: {dilation} group: {group} bias_term: {str(bias).lower()} "
        'weight_filler { type: "msra" } engine: CAFFE }'
    )
    blobs = [weights(8, 4 // group, *kernel), weights(8, seed=2)][: 1 + bias]
    model = CaffeModel((2, 4, *size)).add("Convolution", params, blobs)
    assert_as_opencv(model, tmp_path)


@pytest.mark.parametrize("layer_type", ["ConvolutionDepthwise", "DepthwiseConvolution"])
def test_depthwise_layer_types_take_one_group_a_channel(tmp_path, layer_type):
    params = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 }"
    blobs = [weights(4, 1, 3, 3), weights(4)]
    model = CaffeModel((1, 4, 9, 9)).add(layer_type, params, blobs)
    # OpenCV knows the types only with a group; the plain type with the group is the reference.
    grouped = params.replace("stride", "group: 4 stride")
    reference = CaffeModel((1, 4, 9, 9)).add("Convolution", grouped, blobs)
    x = random_inputs(model)
    found = run_onnx(imported(model, tmp_path), **x)[0]
    np.testing.assert_array_equal(found, run_onnx(imported(reference, tmp_path), **x)[0])
    assert_as_opencv(reference, tmp_path)


def test_convolution_takes_lists_one_number_an_axis(tmp_path):
    params = (
        "convolution_param { num_output: 3 kernel_size: 3 kernel_size: 1 stride: [2, 1] pad: 1 "
        "pad: 0 bias_term: false }"
    )
    assert_as_opencv(CaffeModel().add("Convolution", params, [weights(3, 3, 3, 1)]), tmp_path)


def test_convolution_of_three_spatial_axes(tmp_path):
    params = "convolution_param { num_output: 2 kernel_size: [3, 2, 1] pad: 1 stride: 2 }"
    kernel, bias = weights(2, 3, 3, 2, 1), weights(2)
    model = CaffeModel((1, 3, 6, 7, 5)).add("Convolution", params, [kernel, bias])
    found = run_onnx(imported(model, tmp_path), **(x := random_inputs(model)))[0]
    # OpenCV 4.14 makes the last axis 1 long here; Caffe's definition in double instead.
    padded = np.pad(x["data"].astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 2, 1), axis=(2, 3, 4))
    expected = np.einsum("ncdhwijk,ocijk->nodhw", windows[:, :, ::2, ::2, ::2], kernel)
    np.testing.assert_allclose(found, expected + bias[:, None, None, None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("style", ["legacy", "unpacked", "double"])
def test_weights_may_be_written_in_every_form_of_blob(tmp_path, style):
    params = "convolution_param { num_output: 2 kernel_size: 3 }"
    plain = CaffeModel().add("Convolution", params, [weights(2, 3, 3, 3), weights(2)])
    other = CaffeModel(style=style).add("Convolution", params, [weights(2, 3, 3, 3), weights(2)])
    x = random_inputs(plain)
    found = run_onnx(imported(other, tmp_path), **x)[0]
    np.testing.assert_array_equal(found, run_onnx(imported(plain, tmp_path), **x)[0])


@pytest.mark.parametrize(
    ("group", "kernel", "stride", "pad"), [(1, 4, 2, 1), (2, 3, 1, 1), (4, 4, 2, 1), (1, 2, 3, 0)]
)
def test_deconvolution(tmp_path, group, kernel, stride, pad):
    params = (
        f"convolution_param {{ num_output: 8 kernel_size: {kernel} stride: {stride} pad: {pad} "
        f"group: {group} }}"
    )
    blobs = [weights(4, 8 // group, kernel, kernel), weights(8)]
    assert_as_opencv(CaffeModel((2, 4, 5, 6)).add("Deconvolution", params, blobs), tmp_path)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_inner_product_of_the_flattened_image(tmp_path, bias, transpose):
    matrix = weights(5, 3 * 8 * 8)
    params = (
        f"inner_product_param {{ num_output: 5 bias_term: {str(bias).lower()} "
        f"transpose: {str(transpose).lower()} }}"
    )
    stored = np.ascontiguousarray(matrix.T) if transpose else matrix
    blobs = [stored, weights(5)][: 1 + bias]
    model = CaffeModel((2, 3, 8, 8)).add("InnerProduct", params, blobs)
    found = run_onnx(imported(model, tmp_path), **(x := random_inputs(model)))[0]
    # Caffe's definition in double; OpenCV 4.14 ignores transpose in some builds.
    expected = x["data"].reshape(2, -1).astype(np.float64) @ matrix.T.astype(np.float64)
    expected = expected + weights(5) if bias else expected
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if not transpose:
        assert_as_opencv(model, tmp_path)


def test_inner_product_keeps_the_axes_before_its_own(tmp_path):
    matrix, bias = weights(5, 4 * 6), weights(5)
    model = CaffeModel((2, 3, 4, 6)).add(
        "InnerProduct", "inner_product_param { num_output: 5 axis: 2 }", [matrix, bias]
    )
    found = run_onnx(imported(model, tmp_path), **(x := random_inputs(model)))[0]
    expected = x["data"].reshape(2, 3, -1).astype(np.float64) @ matrix.T + bias
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == (2, 3, 5)
