import cv2
import numpy as np
import pytest

from tf2.data import PRESETS, Preprocessing, Samples, open_image

SHAPES = {
    "caffe-imagenet": (3, 227, 227),
    "caffe-imagenet-224": (3, 224, 224),
    "torch-imagenet": (3, 224, 224),
    "tf-imagenet": (224, 224, 3),
    "cifar10-torch": (3, 32, 32),
    "keras-cifar10-raw": (32, 32, 3),
    "unit-rgb": (3, 300, 400),
    "unit-bgr": (3, 300, 400),
    "raw": (3, 300, 400),
}
RANGES = {"tf-imagenet": (-1, 1), "unit-rgb": (0, 1), "unit-bgr": (0, 1), "raw": (0, 255)}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_by_name_and_gives_its_shape(name):
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert Preprocessing.load(name) is PRESETS[name]
    assert PRESETS[name].apply(image).shape == SHAPES[name]


@pytest.mark.parametrize("name", RANGES)
def test_black_and_white_reach_the_ends_of_the_range(name):
    ends = [PRESETS[name].apply(np.full((300, 300, 3), v, np.uint8)) for v in (0, 255)]
    assert [float(x.mean()) for x in ends] == list(RANGES[name])


def caffe_as_its_readme_says(path):
    image = cv2.imread(str(path))
    if image.shape[:2] != (227, 227):
        shrinks = min(image.shape[:2]) >= 256
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, (256, 256), interpolation=method)[14:241, 14:241]
    return image.transpose(2, 0, 1) - np.float32([104, 117, 123])[:, None, None]


@pytest.mark.parametrize("folder", ["sample", "val227"])
def test_caffe_imagenet_is_opencvs_pipeline_on_real_images(imagenet, folder):
    samples = Samples.open(imagenet / folder, PRESETS["caffe-imagenet"])[:30]
    for name, x in zip(samples.names, samples, strict=True):
        path = imagenet / folder / name
        sides = open_image(path).shape[:2]
        if min(sides) >= 256 or max(sides) < 256:  # else no OpenCV method does the same
            assert np.abs(x - caffe_as_its_readme_says(path)).max() <= 1


def test_torch_imagenet_is_torchvisions_pipeline(rng):
    from PIL import Image

    image = rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)
    resized = Image.fromarray(image).resize((341, 256), Image.Resampling.BILINEAR)
    cut = np.asarray(resized)[16:240, 58:282]  # torchvision: round((341 - 224) / 2) = 58
    unit = cut.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
    mean, std = (np.float32(v) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = (unit - mean[:, None, None]) / std[:, None, None]
    # torchvision rounds to float32 at each step, this once
    np.testing.assert_allclose(PRESETS["torch-imagenet"].apply(image), expected, atol=1e-6)
