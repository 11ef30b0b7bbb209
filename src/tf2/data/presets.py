"""Preprocessing of the usual training pipelines, by name.

They are starting points: ``Preprocessing.with_output_size`` fits one to another input size, and
a JSON file states anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tf2.data.preprocessing import Preprocessing
from tf2.data.resize import Resize

_IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1, torchvision's
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (104.0, 117.0, 123.0)  # of BGR in 0..255

_SQUASH_256 = Resize(mode="squash", size=256, interpolation="area-or-linear")
_SHORT_SIDE_256 = Resize(mode="short-side", size=256, interpolation="bilinear")
_SQUASH_32 = Resize(mode="squash", size=32, interpolation="area-or-linear")

PRESETS: Mapping[str, Preprocessing] = MappingProxyType(
    {
        "caffe-imagenet": Preprocessing(
            resize=_SQUASH_256, crop=(227, 227), channels="BGR", mean=_CAFFE_MEAN
        ),
        "caffe-imagenet-224": Preprocessing(
            resize=_SQUASH_256, crop=(224, 224), channels="BGR", mean=_CAFFE_MEAN
        ),
        "torch-imagenet": Preprocessing(
            resize=_SHORT_SIDE_256,
            crop=(224, 224),
            scale=1 / 255,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
        ),
        "tf-imagenet": Preprocessing(
            resize=_SHORT_SIDE_256, crop=(224, 224), mean=(127.5,), std=(127.5,), layout="NHWC"
        ),
        "cifar10-torch": Preprocessing(
            resize=_SQUASH_32, scale=1 / 255, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
        ),
        "keras-cifar10-raw": Preprocessing(resize=_SQUASH_32, layout="NHWC"),
        "unit-rgb": Preprocessing(scale=1 / 255),
        "unit-bgr": Preprocessing(channels="BGR", scale=1 / 255),
        "raw": Preprocessing(),
    }
)
"""Every preset by its name, read-only."""
