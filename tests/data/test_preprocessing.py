import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tf2.data.preprocessing import Preprocessing
from tf2.data.resize import Resize
from tf2.errors import DataError

NUMBERS = st.floats(-300, 300, allow_nan=False)
POSITIVE = st.floats(1e-3, 300)


def noise(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@st.composite
def recipes(draw):
    channels = draw(st.sampled_from(["RGB", "BGR", "GRAY"]))
    count = draw(st.sampled_from([1, 1 if channels == "GRAY" else 3]))
    mode = draw(st.sampled_from([None, "squash", "short-side", "letterbox"]))
    return Preprocessing(
        resize=mode and Resize(mode=mode, size=draw(st.integers(12, 20))),
        crop=draw(st.sampled_from([None, (5, 7), (12, 12)])),
        channels=channels,
        scale=draw(st.sampled_from([1.0, 1 / 255, 0.017])),
        mean=tuple(draw(NUMBERS) for _ in range(count)),
        std=tuple(draw(POSITIVE) for _ in range(count)),
        layout=draw(st.sampled_from(["NCHW", "NHWC"])),
        swap_hw=draw(st.booleans()),
        keep_exact_size=draw(st.booleans()),
    )


@settings(deadline=None)
@given(recipes())
def test_the_result_is_the_bytes_through_the_affine(recipe):
    image = noise(13, 18)
    raw, x = recipe.apply_raw(image), recipe.apply(image)
    assert (raw.dtype, x.dtype) == (np.uint8, np.float32)
    assert raw.shape == x.shape
    assert x.flags.c_contiguous
    gain, offset = recipe.affine()
    assert gain.shape == offset.shape == (recipe.channel_count,)
    shape = (-1, 1, 1) if recipe.layout == "NCHW" else (1, 1, -1)
    folded = raw * gain.reshape(shape) + offset.reshape(shape)
    # float32 rounds once, and mean and gain may cancel: relative to the larger of the two terms
    size = np.abs(offset).max() + np.abs(raw * gain.reshape(shape)).max()
    np.testing.assert_allclose(x, folded, rtol=1e-7, atol=float(size) * 1e-7)


@settings(deadline=None)
@given(recipes())
def test_json_and_shape_hold_for_every_recipe(recipe):
    assert Preprocessing.model_validate_json(recipe.model_dump_json()) == recipe
    assert "\n" not in recipe.describe()
    if recipe.output_shape is not None:
        assert recipe.apply(noise(13, 18)).shape == recipe.output_shape


def test_the_formula_by_hand():
    recipe = Preprocessing(channels="BGR", scale=0.5, mean=(1, 2, 3), std=(1, 2, 4))
    x = recipe.apply(np.array([[[10, 20, 30]]], np.uint8))
    assert x.ravel().tolist() == [30 * 0.5 - 1, (20 * 0.5 - 2) / 2, (10 * 0.5 - 3) / 4]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("channels", ["RGB", "BGR", "GRAY"])
def test_layouts_are_transposes_of_each_other(channels, swap):
    image = noise(6, 9)
    first = Preprocessing(channels=channels, swap_hw=swap).apply_raw(image)
    last = Preprocessing(channels=channels, swap_hw=swap, layout="NHWC").apply_raw(image)
    np.testing.assert_array_equal(first, last.transpose(2, 0, 1))
    assert first.shape[1:] == ((9, 6) if swap else (6, 9))


def test_swap_hw_transposes_the_pixels():
    image = noise(6, 9)
    swapped = Preprocessing(swap_hw=True, layout="NHWC").apply_raw(image)
    np.testing.assert_array_equal(swapped[2, 5], image[5, 2])


def test_channel_orders_and_grey_are_opencvs_and_pillows():
    image = noise(20, 30)
    bgr = Preprocessing(channels="BGR", layout="NHWC").apply_raw(image)
    np.testing.assert_array_equal(bgr, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    grey = Preprocessing(channels="GRAY", layout="NHWC").apply_raw(image)[:, :, 0]
    np.testing.assert_array_equal(grey, np.asarray(Image.fromarray(image).convert("L")))


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_crop_is_central_to_one_pixel(h, w, data):
    crop = data.draw(st.integers(1, h)), data.draw(st.integers(1, w))
    rows, columns = np.mgrid[:h, :w].astype(np.uint8)
    image = np.stack([rows, columns, rows], axis=2)
    part = Preprocessing(crop=crop, layout="NHWC").apply_raw(image)
    assert part.shape[:2] == crop
    top, left = int(part[0, 0, 0]), int(part[0, 0, 1])
    assert abs(2 * top - (h - crop[0])) <= 1
    assert abs(2 * left - (w - crop[1])) <= 1
    np.testing.assert_array_equal(part, image[top : top + crop[0], left : left + crop[1]])


def test_an_image_of_the_output_size_is_used_as_it_is_unless_told_otherwise():
    image = noise(227, 227)
    recipe = Preprocessing(resize=Resize(mode="squash", size=256), crop=(227, 227), layout="NHWC")
    np.testing.assert_array_equal(recipe.apply_raw(image), image)
    zoomed = recipe.model_copy(update={"keep_exact_size": False}).apply_raw(image)
    expected = cv2.resize(image, (256, 256), interpolation=cv2.INTER_LINEAR)[14:241, 14:241]
    assert np.abs(zoomed.astype(int) - expected).max() <= 1


def test_the_result_owns_its_memory():
    image = noise(4, 4)
    raw = Preprocessing(layout="NHWC").apply_raw(image)
    raw[:] = 0
    assert image.any()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20), np.uint8), r"shape \(H, W, 3\) in RGB order, not \(20, 20\)"),
        (np.zeros((20, 20, 4), np.uint8), r"not \(20, 20, 4\)"),
        (np.zeros((0, 20, 3), np.uint8), r"not \(0, 20, 3\)"),
        (np.zeros((20, 20, 3), np.float32), "uint8 array, not float32"),
        ([[1]], "uint8 array, not list"),
        (np.zeros((9, 20, 3), np.uint8), r"9x20 .* smaller than the crop 10x10\. Use larger"),
    ],
)
def test_an_unusable_image_is_refused(image, message):
    with pytest.raises(DataError, match=message):
        Preprocessing(crop=(10, 10)).apply(image)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": (1, 2)}, "mean has 2 values; RGB needs 1 or 3"),
        ({"channels": "GRAY", "std": (1, 2, 3)}, "std has 3 values; GRAY needs 1"),
        ({"std": 0}, "greater than 0"),
        ({"std": (1, -1, 1)}, "greater than 0"),
        ({"mean": float("nan")}, "finite"),
        ({"scale": 0}, "greater than 0"),
        ({"scale": 1e300}, "float32 cannot hold"),
        ({"std": 1e-300}, "float32 cannot hold"),
        ({"crop": 0}, "greater than or equal to 1"),
        ({"crop": "big"}, "valid tuple"),
        ({"layout": "CHWN"}, "NCHW"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Preprocessing.model_validate(values)


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Preprocessing().scale = 2.0


def test_one_number_serves_for_sizes_and_channels():
    recipe = Preprocessing.model_validate_json('{"crop": 8, "mean": 127.5, "std": 128}')
    assert (recipe.crop, recipe.mean, recipe.std) == ((8, 8), (127.5,), (128.0,))


def test_a_file_is_loaded_and_its_faults_are_named(tmp_path):
    path = tmp_path / "mtcnn.json"
    mtcnn = {"resize": {"mode": "squash", "size": 24}, "mean": 127.5, "std": 128, "swap_hw": True}
    path.write_text(json.dumps(mtcnn))
    assert Preprocessing.load(path).apply(noise(30, 40)).shape == (3, 24, 24)
    path.write_text(json.dumps(mtcnn | {"stdd": 1, "layout": "NC"}))
    with pytest.raises(
        DataError, match=r"mtcnn.json: not a preprocessing: layout: .*; stdd: Extra"
    ):
        Preprocessing.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"crop": 1e400}'])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a preprocessing"):
        Preprocessing.load(path)


def test_an_unknown_name_lists_the_presets():
    with pytest.raises(
        DataError, match=r"'torch-imagnet' is neither a preset nor a file.*unit-rgb"
    ):
        Preprocessing.load("torch-imagnet")


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        (Preprocessing(), "RGB pixel, NCHW"),
        (
            Preprocessing(
                resize=Resize(mode="short-side", size=256, interpolation="bilinear"),
                crop=(224, 224),
                scale=1 / 255,
                mean=(0.5,),
                std=(0.25,),
                layout="NHWC",
            ),
            "short-side 256 (bilinear), centre crop 224x224, RGB (pixel/255 - 0.5) / 0.25, NHWC, "
            "images of 224x224 used as they are",
        ),
        (
            Preprocessing(mean=(127.5,), std=(128,), swap_hw=True),
            "RGB (pixel - 127.5) / 128, NCHW with height and width swapped",
        ),
        (Preprocessing(scale=2.5, channels="GRAY"), "GRAY pixel * 2.5, NCHW"),
    ],
)
def test_describe(recipe, text):
    assert recipe.describe() == text


@pytest.mark.parametrize(
    ("recipe", "resize", "crop"),
    [
        (Preprocessing(), (299, 299), None),
        (Preprocessing(crop=(5, 5)), None, (299, 299)),
        (Preprocessing(resize=Resize(mode="squash", size=32)), (299, 299), None),
        (
            Preprocessing(resize=Resize(mode="squash", size=256), crop=(224, 224)),
            (342, 342),
            (299, 299),
        ),
        (
            Preprocessing(resize=Resize(mode="short-side", size=256), crop=(224, 224)),
            342,
            (299, 299),
        ),
        (Preprocessing(resize=Resize(mode="short-side", size=256)), 299, (299, 299)),
    ],
)
def test_with_output_size_keeps_the_proportions(recipe, resize, crop):
    fitted = recipe.with_output_size((299, 299))
    assert (fitted.resize.size if fitted.resize else None, fitted.crop) == (resize, crop)
    assert fitted.output_size == (299, 299)
    assert fitted.apply(noise(400, 310)).shape == (3, 299, 299)
