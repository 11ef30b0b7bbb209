import zipfile

import numpy as np
import pytest

from tf2.data import PRESETS, Preprocessing, Resize, Samples, find_images, open_image
from tf2.errors import DataError

RECIPE = Preprocessing(resize=Resize(mode="squash", size=16))
NAMES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/10.jpg", "dog/2.JPG")


def test_a_folder_a_zip_and_a_list_give_the_same_samples(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in NAMES:
            archive.write(photos / name, name)
    folder, zipped = Samples.open(photos, RECIPE), Samples.open(tmp_path / "p.zip", RECIPE)
    listed = Samples.open(find_images(photos), RECIPE)
    assert folder.names == zipped.names == NAMES
    assert listed.names == tuple(find_images(photos))
    expected = np.stack([RECIPE.apply(open_image(photos / name)) for name in NAMES])
    for samples in (folder, zipped, listed):
        np.testing.assert_array_equal(samples.stacked().inputs, expected)


def test_one_image_is_one_sample(photos):
    assert Samples.open(photos / "dog/10.jpg", RECIPE).stacked().names == ("10.jpg",)


def test_images_need_a_preprocessing(photos):
    with pytest.raises(DataError, match=r"cat/1.png: an image needs a preprocessing"):
        Samples.open(photos)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, np.bool_])
def test_arrays_are_taken_as_prepared(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    for preprocessing in (None, RECIPE):
        samples = Samples.open(tmp_path / "a.npy", preprocessing)
        assert samples.names == ("a.npy[0]", "a.npy[1]")
        assert samples[1].dtype == np.float32
        assert samples[1].flags.owndata
        np.testing.assert_array_equal(samples.stacked().inputs, array.astype(np.float32))


def test_uint8_is_a_photograph_only_with_a_preprocessing(tmp_path, rng):
    array = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(Samples.open(tmp_path / "a.npy").stacked().inputs, array)
    prepared = Samples.open(tmp_path / "a.npy", RECIPE)
    np.testing.assert_array_equal(prepared[1], RECIPE.apply(array[1]))
    assert len(prepared.crops(4, seed=0)) == 10


@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 20, 30, 1)])
def test_grey_photographs_are_spread_to_rgb(tmp_path, rng, shape):
    array = rng.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    colour = np.repeat(array.reshape(2, 20, 30, 1), 3, axis=3)
    np.testing.assert_array_equal(
        Samples.open(tmp_path / "a.npy", RECIPE)[1], RECIPE.apply(colour[1])
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 20, 30), np.uint8), r"uint8 of shape \(2, 3, 20, 30\).*\(N, H, W, 3\)"),
        (np.zeros((2, 20), np.uint8), r"uint8 of shape \(2, 20\)"),
        (np.zeros(5, np.float32), r"shape \(5,\) holds no samples"),
        (np.zeros((0, 3), np.float32), r"shape \(0, 3\) holds no samples"),
        (np.float32(1), r"shape \(\) holds no samples"),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=message):
        Samples.open(tmp_path / "a.npy", RECIPE)


def test_a_sample_that_is_not_finite_is_named(tmp_path):
    array = np.zeros((3, 4), np.float32)
    array[1, 2] = np.nan
    np.save(tmp_path / "a.npy", array)
    samples = Samples.open(tmp_path / "a.npy")
    assert samples[0].shape == (4,)
    with pytest.raises(DataError, match=r"a.npy\[1\]: 1 of 4 values are NaN.* 2 are good"):
        samples[1]


@pytest.fixture
def npz(tmp_path):
    arrays = {"x": np.ones((4, 3), "f4"), "y": np.arange(4), "z": np.zeros((4, 2, 2), "f4")}
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


def test_an_npz_by_key_by_input_or_by_being_the_only_array(npz, tmp_path):
    np.savez(tmp_path / "one.npz", q=np.ones((4, 3)))
    by_key = Samples.open(npz, key="x")
    by_input = Samples.open(npz, inputs={"x": (3,)})
    only = Samples.open(tmp_path / "one.npz", inputs={"data": (3,)})
    for samples in (by_key, by_input, only):
        np.testing.assert_array_equal(samples.stacked().inputs, np.ones((4, 3)))
    assert by_key.names[2] == "a.npz[2]"


def test_several_inputs_give_dict_samples(npz):
    samples = Samples.open(npz, inputs={"z": (2, None), "x": (3,)})
    assert {name: array.shape for name, array in samples[0].items()} == {"z": (2, 2), "x": (3,)}
    assert samples.take(2, seed=0).stacked().feed(["x", "z"])["x"].shape == (2, 3)


def test_inputs_of_different_lengths_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 3)), b=np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"differ in their number of samples: {'a': 2, 'b': 3}"):
        Samples.open(tmp_path / "a.npz", inputs={"a": (3,), "b": (3,)})


def test_an_ambiguous_npz_lists_its_arrays(npz):
    with pytest.raises(DataError, match=r"holds x \(4, 3\), y \(4,\), z \(4, 2, 2\)\. Choose one"):
        Samples.open(npz)
    with pytest.raises(DataError, match=r"The network's inputs are x, q\."):
        Samples.open(npz, inputs={"x": (3,), "q": (3,)})
    with pytest.raises(DataError, match="no array 'w'"):
        Samples.open(npz, key="w")
    with pytest.raises(DataError, match=r"in .npz files only"):
        Samples.open(npz.parent, RECIPE, key="x")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 227, 227), r"cat/1.png: gives shape \(3, 16, 16\); .* is \(3, 227, 227\)\. Choose"),
        ((None, 16, 16, 1), r"is \(any, 16, 16, 1\)"),
        ((16, 16, 3), r"use layout NHWC"),
    ],
)
def test_samples_are_held_to_the_networks_input(photos, shape, message):
    assert Samples.open(photos, RECIPE, inputs={"data": (3, None, 16)})[0].shape == (3, 16, 16)
    with pytest.raises(DataError, match=message):
        Samples.open(photos, RECIPE, inputs={"data": shape})[0]


def test_a_single_sample_without_its_axis_is_told_once(tmp_path):
    file = tmp_path / "one.npy"
    np.save(file, np.zeros((3, 16, 16), np.float32))
    with pytest.raises(DataError, match=r"one\.npy: shape \(3, 16, 16\) is one input .* x\[None\]"):
        Samples.open(file, inputs={"data": (3, 16, 16)})
    assert len(Samples.open(file, inputs={"data": (16, 16)})) == 3


def test_channels_last_for_a_channels_first_network_is_told(photos):
    with pytest.raises(DataError, match="use layout NCHW"):
        Samples.open(photos, PRESETS["keras-cifar10-raw"], inputs={"x": (3, 32, 32)})[0]


def test_one_source_cannot_feed_two_inputs(photos):
    with pytest.raises(DataError, match=r"takes 2 inputs \(a, b\), and this gives one"):
        Samples.open(photos, RECIPE, inputs={"a": (3, 16, 16), "b": (3, 16, 16)})


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing", "nothing there"),
        ("a.txt", "a file of another kind"),
        ("missing.npy", "not a readable .npy"),
        ("missing.npz", "not a readable .npz"),
        ("missing.zip", "nothing there"),
        ([], "the list is empty"),
    ],
)
def test_places_without_samples_are_refused(tmp_path, place, message):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=message):
        Samples.open(place if place == [] else tmp_path / place, RECIPE)


def test_a_missing_image_in_a_list_is_found_when_read(photos):
    samples = Samples.open([photos / "cat/1.png", photos / "nope.png"], RECIPE)
    with pytest.raises(DataError, match=r"nope.png: cannot be read.* 1 are good"):
        samples[1]


def test_a_real_zip_and_a_real_npz(cifar10):
    zipped = Samples.open(
        cifar10 / "test_5k.zip", PRESETS["cifar10-torch"], inputs={"x": (3, 32, 32)}
    )
    assert len(zipped) == 5000
    assert zipped.names[0] == "airplane/0000.jpg"
    assert zipped.take(50, seed=0).stacked().inputs.std() == pytest.approx(1.1, abs=0.2)
    exact = Samples.open(cifar10 / "lossless_test100.npz", PRESETS["keras-cifar10-raw"], key="x")
    assert exact.stacked().inputs.shape == (100, 32, 32, 3)
