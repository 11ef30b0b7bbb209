import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tf2.data.resampling import INTERPOLATIONS, resize_image

cv2.setNumThreads(1)
SIDE = st.integers(1, 60)


def difference(a, b):
    return np.abs(a.astype(int) - b).max()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=80, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE)
def test_linear_is_opencvs_to_one_grey_level(h, w, new_h, new_w):
    image = noise(h, w)
    expected = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    assert difference(resize_image(image, (new_h, new_w), "linear"), expected) <= 1


@settings(max_examples=80, deadline=None)
@given(SIDE, SIDE, st.data())
def test_area_is_opencvs_to_one_grey_level_when_both_axes_shrink(h, w, data):
    new_h, new_w = data.draw(st.integers(1, h)), data.draw(st.integers(1, w))
    image = noise(h, w)
    expected = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_AREA)
    assert difference(resize_image(image, (new_h, new_w), "area-or-linear"), expected) <= 1


@settings(max_examples=50, deadline=None)
@given(SIDE, SIDE, st.data())
def test_area_or_linear_is_linear_when_both_axes_grow(h, w, data):
    size = data.draw(st.integers(h, 70)), data.draw(st.integers(w, 70))
    image = noise(h, w)
    expected = resize_image(image, size, "linear")
    np.testing.assert_array_equal(resize_image(image, size, "area-or-linear"), expected)


@pytest.mark.parametrize(
    ("size", "part"), [((375, 500), 0.001), ((512, 512), 0), ((500, 333), 0.001)]
)
def test_area_rarely_differs_from_opencv_at_all(size, part):
    image = noise(*size)
    expected = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
    assert (resize_image(image, (256, 256), "area-or-linear") != expected).mean() <= part


def test_area_averages_the_covered_parts():
    row = np.array([[0, 90, 240]], np.uint8)[:, :, None]
    # two new pixels of 1.5: (0 + 90/2) / 1.5 and (90/2 + 240) / 1.5
    assert resize_image(row, (1, 2), "area-or-linear").ravel().tolist() == [30, 190]


def test_one_axis_may_shrink_while_the_other_grows():
    image = noise(90, 20)
    halves = resize_image(resize_image(image, (30, 20), "area-or-linear"), (30, 40), "linear")
    assert difference(resize_image(image, (30, 40), "area-or-linear"), halves) <= 1


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "nearest"])
def test_the_others_are_pillows(name):
    image = noise(50, 70)
    expected = Image.fromarray(image).resize((32, 90), Image.Resampling[name.upper()])
    np.testing.assert_array_equal(resize_image(image, (90, 32), name), np.asarray(expected))


@pytest.mark.parametrize("name", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(7, 9), (1, 1), (64, 64)])
def test_a_flat_image_stays_flat_and_the_input_untouched(name, size):
    image = np.full((20, 30, 3), 201, np.uint8)
    image.flags.writeable = False
    result = resize_image(image, size, name)
    assert result.dtype == np.uint8
    assert result.shape == (*size, 3)
    assert np.unique(result).tolist() == [201]


def test_an_image_of_the_size_is_returned_as_it_is():
    image = noise(5, 6)
    assert resize_image(image, (5, 6), "area-or-linear") is image
