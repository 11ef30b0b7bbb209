"""Damaged files: whatever the bytes are, only the errors of this project come out, and soon."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from caffe_oracle import weights
from caffe_writer import CaffeModel

from tf2.errors import Tf2Error
from tf2.importers.caffe import read_caffe

MAX_SECONDS = 2.0  # for one tiny file; they take milliseconds
WORDS = [b"{", b"}", b":", b"-1", b"0", b"2147483647", b"99999999999999999999", b"nan", b"1e38",
         b"true", b'"data"', b"[", b"]", b"#", b"\\", b"'", b"dim: 0", b"axis: -1",
         b"Reshape", b"Slice", b"PriorBox", b"InnerProduct", b"pad: 3", b"\xff"]  # fmt: skip


def net_of_many_types() -> CaffeModel:
    model = CaffeModel((1, 3, 8, 8))
    conv = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 1 }"
    model.add("Convolution", conv, [weights(4, 3, 3, 3), weights(4)], name="c")
    stats = [weights(4), weights(4) ** 2, np.ones(1)]
    model.add("BatchNorm", "batch_norm_param { eps: 1e-3 }", stats, name="n", bottoms=("c",))
    model.add(
        "Scale", "scale_param { bias_term: true }", [weights(4)] * 2, name="s", bottoms=("n",)
    )
    model.add("PReLU", "", [weights(4)], name="r", bottoms=("s",), tops=("s",))
    pool = "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"
    model.add("Pooling", pool, name="p", bottoms=("s",))
    model.add("Slice", "slice_param { slice_point: 1 }", name="k", bottoms=("p",), tops=("u", "v"))
    model.add("Concat", "concat_param { axis: 1 }", name="j", bottoms=("v", "u"))
    model.add("Eltwise", "eltwise_param { coeff: 1 coeff: 2 }", name="e", bottoms=("j", "p"))
    priors = "prior_box_param { min_size: 4 max_size: 6 aspect_ratio: 2 variance: 0.1 }"
    model.add("PriorBox", priors, name="b", bottoms=("e", "data"))
    model.add("Permute", "permute_param { order: 0 order: 2 }", name="t", bottoms=("e",))
    model.add("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }", name="h", bottoms=("t",))
    fc = "inner_product_param { num_output: 3 }"
    model.add("InnerProduct", fc, [weights(3, 36), weights(3)], name="f", bottoms=("h",))
    model.add("ArgMax", "argmax_param { top_k: 2 out_max_val: true }", name="a", bottoms=("f",))
    return model


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, max(1, len(changed))))
            kind = rng.integers(0, 6)
            if kind == 0 and changed:
                changed[at % len(changed)] ^= 1 << int(rng.integers(0, 8))
            elif kind == 1:
                del changed[at:]
            elif kind == 2:
                del changed[at : at + int(rng.integers(1, 30))]
            elif kind == 3:
                changed[at:at] = changed[at : at + int(rng.integers(1, 60))]
            elif kind == 4:
                changed[at:at] = bytes(rng.integers(0, 256, 3, dtype=np.uint8))
            else:
                changed[at : at + 1] = WORDS[int(rng.integers(0, len(WORDS)))]
        yield bytes(changed)


def number_swaps(text: str) -> Iterator[bytes]:
    """Replace each number of the text by each of a list of hostile ones."""
    spans = [(m.start(), m.end()) for m in re.finditer(r"-?\d[\d.e-]*", text)]
    hostile = [
        "0",
        "-1",
        "1",
        "7",
        "65535",
        "1048576",
        "2147483647",
        "-2147483648",
        "1e30",
        "1e-45",
    ]
    for start, end in spans:
        for number in hostile:
            yield (text[:start] + number + text[end:]).encode()


@pytest.mark.parametrize("what", ["prototxt", "numbers", "caffemodel"])
def test_damaged_files_raise_our_errors_only(tmp_path, what):
    model = net_of_many_types()
    prototxt, caffemodel = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(model.text)
    caffemodel.write_bytes(model.weights)
    read_caffe(prototxt, caffemodel)  # whole, it is read
    target = caffemodel if what == "caffemodel" else prototxt
    source = model.weights if what == "caffemodel" else model.text.encode()
    cases = number_swaps(model.text) if what == "numbers" else mutations(source, 1500, seed=7)
    refused = 0
    for number, data in enumerate(cases):
        target.write_bytes(data)
        start = time.monotonic()
        try:
            read_caffe(prototxt, caffemodel)
        except Tf2Error:
            refused += 1
        except Exception as error:
            raise AssertionError(f"case {number} of {what}: {data!r}") from error
        assert time.monotonic() - start < MAX_SECONDS, f"case {number} of {what} is slow"
    assert refused > 100  # the damage is real


def test_every_truncation_of_the_weights_is_refused(tmp_path):
    model = CaffeModel().add("PReLU", "", [weights(3)])
    prototxt, caffemodel = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(model.text)
    for length in range(len(model.weights)):
        caffemodel.write_bytes(model.weights[:length])
        with pytest.raises(Tf2Error):
            read_caffe(prototxt, caffemodel)
