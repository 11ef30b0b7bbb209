import numpy as np
import pytest

from tf2.data import PRESETS, Batch, Preprocessing, Resize, Samples
from tf2.errors import DataError

RECIPE = Preprocessing(resize=Resize(mode="squash", size=16))


def counted(n, bad=()):
    """n samples of value i; loading a bad one fails."""

    def load(i):
        if i in bad:
            raise DataError(f"s{i}: damaged")
        return np.full((2, 3), i, np.float32)

    return Samples([f"s{i}" for i in range(n)], load)


def test_it_is_a_sequence():
    samples = counted(5)
    assert len(samples) == 5
    assert [int(x[0, 0]) for x in samples] == [0, 1, 2, 3, 4]
    assert samples[-1][0, 0] == 4
    assert samples[1:4].names == ("s1", "s2", "s3")
    assert samples[::-2][1][0, 0] == 2
    with pytest.raises(IndexError):
        samples[5]


def test_nothing_is_read_before_it_is_asked_for():
    samples = counted(3, bad={0, 1, 2})
    assert samples.take(2, seed=0)[:1].names == ("s0",)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_batches_hold_all_samples_in_order(size):
    batches = list(counted(5).batches(size))
    assert sum((batch.names for batch in batches), ()) == counted(5).names
    assert {batch.inputs.shape[0] for batch in batches[:-1]} <= {size}
    together = np.concatenate([batch.inputs for batch in batches])
    np.testing.assert_array_equal(together, counted(5).stacked().inputs)
    assert together.dtype == np.float32


def test_dict_samples_are_stacked_by_input():
    samples = Samples(["a", "b"], lambda i: {"x": np.full(3, i, "f4"), "y": np.zeros((1, 2), "f4")})
    batch = samples.stacked()
    assert {name: array.shape for name, array in batch.inputs.items()} == {
        "x": (2, 3),
        "y": (2, 1, 2),
    }
    assert batch.feed(["y"]).keys() == {"y"}
    with pytest.raises(DataError, match="no array for input 'z'"):
        batch.feed(["x", "z"])


def test_one_array_feeds_one_input():
    batch = Batch(("a",), np.zeros((1, 3), np.float32))
    assert batch.feed(["data"])["data"] is batch.inputs
    with pytest.raises(DataError, match=r"takes 2 inputs \(a, b\), the samples are one array"):
        batch.feed(["a", "b"])


def test_samples_of_different_shapes_do_not_stack():
    samples = Samples(["a", "b"], lambda i: np.zeros((3, 4 + i), np.float32))
    with pytest.raises(DataError, match=r"b: shape \(3, 5\), but a has \(3, 4\)"):
        samples.stacked()


@pytest.mark.parametrize(
    "act", [lambda s: next(s.batches(0)), lambda s: s.take(0, 0), lambda s: s[:0].stacked()]
)
def test_counts_below_one_are_refused(act):
    with pytest.raises(DataError, match=r"at least 1 sample|no samples to stack"):
        act(counted(3))


def test_take_is_deterministic_nested_and_in_order():
    samples = counted(100)
    few, same, more = samples.take(10, 7), samples.take(10, 7), samples.take(30, 7)
    assert few.names == same.names
    assert set(few.names) < set(more.names)
    assert list(more.names) == sorted(more.names, key=lambda name: int(name[1:]))
    assert samples.take(10, 8).names != few.names
    assert f"s{int(few[3][0, 0])}" == few.names[3]
    assert samples.take(1000, 0).names == samples.names


def test_a_bad_sample_is_named_with_the_count_of_good_ones():
    with pytest.raises(DataError, match=r"s1: damaged\. Of all 4 samples 2 are good; .*--skip-bad"):
        counted(4, bad={1, 3}).stacked()


def test_when_none_is_good_skipping_is_not_offered():
    with pytest.raises(DataError, match=r"s0: damaged\. Of all 2 samples none is good$"):
        counted(2, bad={0, 1})[0]


def test_the_count_stops_early_on_large_sets():
    with pytest.raises(DataError, match="Of the first 1000 samples 999 are good"):
        counted(5000, bad={3, 4000})[3]


def test_bad_samples_are_left_out_and_listed():
    good = counted(4, bad={1, 3}).without_bad()
    assert good.names == ("s0", "s2")
    assert good.stacked().inputs[:, 0, 0].tolist() == [0, 2]
    assert [(s.name, s.reason) for s in good.skipped] == [
        ("s1", "s1: damaged"),
        ("s3", "s3: damaged"),
    ]
    assert len(good.take(1, 0).skipped) == 2
    with pytest.raises(DataError, match=r"none of 2 samples can be used. The first: s0: damaged"):
        counted(2, bad={0, 1}).without_bad()


def test_an_unreadable_image_is_skipped_only_on_request(photos):
    (photos / "cat/2.png").write_bytes((photos / "cat/2.png").read_bytes()[:900])
    samples = Samples.open(photos, RECIPE)
    with pytest.raises(DataError, match=r"cat/2.png: .* Of all 5 samples 4 are good"):
        samples.stacked()
    good = Samples.open(photos, RECIPE, skip_bad=True)
    assert good.stacked().inputs.shape == (4, 3, 16, 16)
    assert [skipped.name for skipped in good.skipped] == ["cat/2.png"]


def test_an_image_smaller_than_the_crop_is_named(photos):
    with pytest.raises(DataError, match=r"cat/1.png: an image of 40x50 .* smaller than the crop"):
        Samples.open(photos, Preprocessing(crop=45))[0]


def test_crops_add_views_after_the_photographs(photos):
    samples = Samples.open(photos, RECIPE)
    more = samples.crops(3, seed=1)
    assert len(more) == 20
    assert more.names[:5] == samples.names
    assert more.names[5:7] == ("cat/1.png#view0", "cat/2.png#view0")
    x = more.stacked().inputs
    np.testing.assert_array_equal(x[:5], samples.stacked().inputs)
    assert len(np.unique(x.reshape(20, -1), axis=0)) == 20
    np.testing.assert_array_equal(x, samples.crops(3, seed=1).stacked().inputs)
    assert (x[5:] != samples.crops(3, seed=2).stacked().inputs[5:]).any()


def test_views_do_not_depend_on_the_other_images(photos):
    samples = Samples.open(photos, RECIPE)
    alone = samples[3:4].crops(2, seed=1)
    among = samples.crops(2, seed=1)
    np.testing.assert_array_equal(alone[2], among[among.names.index("dog/10.jpg#view1")])


def test_images_are_not_all_cut_alike(photos):
    (photos / "cat/2.png").write_bytes((photos / "cat/1.png").read_bytes())
    twins = Samples.open(photos, RECIPE)[:2].crops(1, seed=0)
    assert (twins[2] != twins[3]).any()


@pytest.mark.parametrize("name", PRESETS)
def test_views_have_the_shape_of_the_photograph(photos, name):
    more = Samples.open(photos, PRESETS[name]).crops(1, seed=0)
    for i in range(5):
        assert more[5 + i].shape == more[i].shape


def test_views_of_views_are_views_too(photos):
    twice = Samples.open(photos, RECIPE).crops(1, seed=0).crops(1, seed=0)
    assert len(twice) == 20
    assert twice.names[-1] == "dog/2.JPG#view0#view0"
    assert twice[19].shape == (3, 16, 16)


def test_prepared_arrays_have_no_views(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 4), np.float32))
    with pytest.raises(DataError, match="views can be made of photographs only"):
        Samples.open(tmp_path / "a.npy").crops(2, seed=0)


def test_a_negative_number_of_views_is_refused(photos):
    with pytest.raises(DataError, match="cannot be -1"):
        Samples.open(photos, RECIPE).crops(-1, seed=0)
