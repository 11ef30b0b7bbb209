"""Pooling: Caffe's sizes and divisors, against a slow reference and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from caffe_oracle import assert_as_opencv, imported, random_inputs, run_onnx
from caffe_writer import CaffeModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf2.errors import UnsupportedOpError


def pooled_size(size: int, kernel: int, stride: int, pad: int, *, has_pad: bool, ceil: bool) -> int:
    room = size + 2 * pad - kernel
    out = int(np.ceil(room / stride) if ceil else np.floor(room / stride)) + 1
    return out - 1 if has_pad and (out - 1) * stride >= size + pad else out


def caffe_pooling(x, method, kernel, stride, pad, *, ceil=True) -> np.ndarray | None:
    """Caffe's loops (pooling_layer.cpp); None where a window has no value."""
    sizes = x.shape[2:]
    outs = [
        pooled_size(sizes[i], kernel[i], stride[i], pad[i], has_pad=any(pad), ceil=ceil)
        for i in range(2)
    ]
    if min(outs) < 1:
        return None
    result = np.empty((*x.shape[:2], *outs), np.float64)
    for index in np.ndindex(*outs):
        starts = [i * s - p for i, s, p in zip(index, stride, pad, strict=True)]
        ends = [min(a + k, n + p) for a, k, n, p in zip(starts, kernel, sizes, pad, strict=True)]
        divisor = (ends[0] - starts[0]) * (ends[1] - starts[1])
        window = x[:, :, max(starts[0], 0) : ends[0], max(starts[1], 0) : ends[1]]
        if 0 in window.shape:
            return None
        reduced = window.max(axis=(2, 3)) if method == "MAX" else window.sum(axis=(2, 3)) / divisor
        result[:, :, index[0], index[1]] = reduced
    return result


def pooling_params(method, kernel, stride, pad, extra="") -> str:
    return (
        f"pooling_param {{ pool: {method} kernel_h: {kernel[0]} kernel_w: {kernel[1]} "
        f"stride_h: {stride[0]} stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} {extra} }}"
    )


two = st.tuples


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["MAX", "AVE"]),
    size=two(st.integers(3, 12), st.integers(3, 12)),
    kernel=two(st.integers(1, 5), st.integers(1, 5)),
    stride=two(st.integers(1, 4), st.integers(1, 4)),
    pad=two(st.integers(0, 2), st.integers(0, 2)),
    ceil=st.booleans(),
)
def test_pooling_of_any_window_is_caffes(tmp_path, method, size, kernel, stride, pad, ceil):
    pad = tuple(min(p, k - 1) for p, k in zip(pad, kernel, strict=True))
    extra = "" if ceil else "round_mode: FLOOR"
    model = CaffeModel((2, 2, *size))
    model.add("Pooling", pooling_params(method, kernel, stride, pad, extra))
    x = random_inputs(model)
    expected = caffe_pooling(x["data"].astype(np.float64), method, kernel, stride, pad, ceil=ceil)
    if expected is None:
        with pytest.raises(UnsupportedOpError, match="a window lies outside"):
            imported(model, tmp_path)
        return
    found = run_onnx(imported(model, tmp_path), **x)[0]
    assert found.shape == expected.shape
    # One float32 rounding a value of at most 25 in a mean; a maximum is one of the values.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=0 if method == "MAX" else 1e-6)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad"),
    [
        (227, 3, 2, 0),  # SqueezeNet pool1: exact
        (56, 3, 2, 0),  # its pool3: one more window than floor gives
        (32, 3, 2, 0),  # CIFAR-10 quick
        (14, 3, 1, 1),  # GoogLeNet's inception pools
        (7, 7, 1, 0),
        (7, 3, 3, 1),
        (9, 2, 2, 1),  # the last window would start in the padding
    ],
)
def test_pooling_of_known_nets(tmp_path, method, size, kernel, stride, pad):
    params = f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} pad: {pad} }}"
    assert_as_opencv(CaffeModel((1, 2, size, size)).add("Pooling", params), tmp_path)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_global_pooling(tmp_path, method):
    params = f"pooling_param {{ pool: {method} global_pooling: true }}"
    model = assert_as_opencv(CaffeModel((2, 3, 5, 7)).add("Pooling", params), tmp_path)
    assert model.graph.node[0].op_type.startswith("Global")


def test_a_plain_average_is_one_node(tmp_path):
    model = CaffeModel((1, 2, 8, 8)).add(
        "Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }"
    )
    assert [node.op_type for node in imported(model, tmp_path).graph.node] == ["AveragePool"]
