"""Batches follow from the seed alone; photographs are varied, then normalized as in evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from color_classifier import write_images
from tf2.data import Preprocessing, Samples, labels_from_folders
from tf2.errors import DataError, TrainingError
from tf2.training.data import Batches, SomeSamples, UserDataset, check_classes, training_set
from tf2.training.user_code import is_object, load_object


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = write_images(tmp_path_factory.mktemp("data"), count=6)
    recipe = Preprocessing(scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), channels="BGR")
    samples = Samples.open(folder, recipe)
    return samples, labels_from_folders(samples.names).classes


def images_of(batches: Batches, epoch: int, first: int = 0):
    return [(x.numpy(), y.numpy()) for x, y in batches.epoch(epoch, first)]


def test_without_variation_images_are_those_of_evaluation(photos):
    samples, classes = photos
    data = training_set(samples, classes, "none")
    x, y = data.batch([3, 0], (0, 0))
    np.testing.assert_allclose(x[0].numpy(), samples[3], atol=2e-6)
    np.testing.assert_allclose(x[1].numpy(), samples[0], atol=2e-6)
    assert y.tolist() == [classes[3], classes[0]]


@pytest.mark.parametrize("augment", ["auto", "flip", "crop", "view"])
def test_batches_follow_from_epoch_and_number(photos, augment):
    samples, classes = photos
    first, again = (Batches(training_set(samples, classes, augment), size=4, seed=1) for _ in "ab")
    assert (first.count, first.size) == (4, 4)
    whole = images_of(first, 5)
    for (x, y), (x2, y2) in zip(whole[2:], images_of(again, 5, 2), strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)
    other = images_of(first, 6)
    assert not np.array_equal(whole[0][0], other[0][0])
    seen = np.concatenate([y for _, y in whole])
    assert len(seen) == 16


def test_processes_share_every_batch(photos):
    samples, classes = photos
    data = training_set(samples, classes, "crop")
    whole = images_of(Batches(data, size=4, seed=1), 0)
    parts = [images_of(Batches(data, size=4, seed=1, rank=r, world=2), 0) for r in (0, 1)]
    for (x, y), (xa, ya), (xb, yb) in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(x[0::2], xa)
        np.testing.assert_array_equal(x[1::2], xb)
        np.testing.assert_array_equal(np.stack([ya, yb], 1).reshape(-1), y)
    with pytest.raises(TrainingError, match="cannot be shared by 3 processes"):
        Batches(data, size=4, seed=1, rank=0, world=3)


def test_every_sample_is_seen_once_an_epoch_and_variation_moves_it(photos):
    samples, classes = photos
    data = training_set(samples, classes, "crop")
    plain = training_set(samples, classes, "none")
    same = sum(
        torch.equal(data.batch([i], (0, e))[0], plain.batch([i], (0, e))[0])
        for i in range(18)
        for e in range(3)
    )
    assert same < 10  # of 54: mostly moved or mirrored
    order = Batches(UserDataset([(torch.tensor(i), 0) for i in range(18)]), size=3, seed=0)
    seen = [int(i) for x, _ in order.epoch(0) for i in x]
    assert sorted(seen) == list(range(18))
    assert seen != sorted(seen)


def test_random_choices_of_a_users_dataset_are_seeded():
    class Noise:
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.rand(2) + float(np.random.rand()), 0

    batches = Batches(UserDataset(Noise()), size=4, seed=0)
    first, second = ([x for x, _ in batches.epoch(1)] for _ in "ab")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_inputs_of_a_dataset_calibrate_and_a_loaders_collation_is_kept():
    pairs = [(torch.full((2,), float(i)), i) for i in range(4)]
    samples = UserDataset(pairs).samples()
    assert samples is not None
    np.testing.assert_array_equal(samples[2], [2.0, 2.0])
    named = UserDataset([({"a": torch.ones(2), "b": np.zeros(3)}, 0)]).samples()
    assert named is not None
    assert set(named[0]) == {"a", "b"}
    assert UserDataset([("text", 0)]).samples() is None

    def collate(elements):
        return torch.stack([x for x, _ in elements]) + 1, torch.tensor([y for _, y in elements])

    loader = torch.utils.data.DataLoader(pairs, batch_size=2, collate_fn=collate)  # pyright: ignore[reportArgumentType]
    x, y = UserDataset(loader).batch([1, 3], (0, 0))
    assert (x.tolist(), y.tolist()) == ([[2.0, 2.0], [4.0, 4.0]], [1, 3])


def test_some_samples_are_spread_over_the_whole_set():
    data = SomeSamples(UserDataset([(torch.tensor(i), 0) for i in range(18)]), 5)
    seen = [int(i) for x, _ in Batches(data, size=5, seed=0).epoch(0) for i in x]
    assert sorted(seen) == [0, 4, 8, 12, 17]
    assert len(SomeSamples(data, 9)) == 5


def test_wrong_data_is_refused(photos):
    samples, classes = photos
    with pytest.raises(DataError, match="17 labels for 18 samples"):
        training_set(samples, classes[:-1], "none")
    with pytest.raises(DataError, match=r"class 2, but the network has 2 classes \(0..1\)"):
        check_classes(classes, 2)
    with pytest.raises(TrainingError, match="no map-style dataset"):
        UserDataset(iter([]))
    with pytest.raises(TrainingError, match="must be pairs"):
        UserDataset([(1, 2, 3)])
    with pytest.raises(TrainingError, match="it has no labels"):
        UserDataset([torch.zeros(3, 4)])
    with pytest.raises(DataError, match="class -1: classes begin at 0"):
        check_classes(np.array([-1, 0]), 3)
    with pytest.raises(TrainingError, match="empty"):
        Batches(UserDataset([]), size=4, seed=0)


def test_names_of_python_objects_are_told_from_files(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("value = 7\n")
    monkeypatch.chdir(tmp_path)
    assert load_object("mine.py:value") == 7
    assert is_object("package.module:function")
    assert is_object("mine.py:value")
    for place in ("set.npz:x", "photos", "a/b.zip", "C:/photos"):
        assert not is_object(place)
    for spec, message in (("value", "names nothing"), ("mine.py:other", "has no 'other'"),
                          ("gone:x", "cannot be imported")):  # fmt: skip
        with pytest.raises(TrainingError, match=message):
            load_object(spec)
