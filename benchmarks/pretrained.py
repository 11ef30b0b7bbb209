"""The pretrained networks of `accuracy.py`: where each is, its data, and what counts as right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tf2.data import (
    PRESETS,
    Preprocessing,
    Samples,
    labels_from_folders,
    match_labels,
    read_labels,
)

Array = NDArray[np.floating | np.integer]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What `load_model` is given."""

    model: str
    weights: Path | None = None
    input_shapes: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """Samples to compress with and others to evaluate on, with the truth about these.

    Attributes:
        calibration: To compress with.
        evaluation: Others.
        truth: About these.
        preprocessing: From an image to the input.
        views: Random views of each photograph that calibrate beside it.
    """

    calibration: Samples
    evaluation: Samples
    truth: Array
    preprocessing: Preprocessing | None = None
    views: int = 0


def _largest(scores: Array) -> Array:
    return scores.reshape(len(scores), -1).argmax(axis=1)


def _same(answers: Array, truth: Array) -> NDArray[np.bool_]:
    return answers == truth


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network and what it is good for.

    Attributes:
        name: Of the network.
        folder: Below the folder of models.
        source: From that folder to the model.
        data: From the folder of models to the data; the answers of several parts count together.
        answers: From the first output to one answer a sample.
        right: Tells which answers agree with the truth, or with other answers.
        measure: What ``right`` means, in a word or two.
    """

    name: str
    folder: str
    source: Callable[[Path], Source]
    data: Callable[[Path], Sequence[Data]]
    answers: Callable[[Array], Array] = _largest
    right: Callable[[Array, Array], NDArray[np.bool_]] = _same
    measure: str = "top-1"


CALIBRATED = 128
"""Rows that small data sets give up for calibration; the rest is evaluated."""


def _imagenet(models: Path) -> Sequence[Data]:
    """Calibrate on 64 photographs of another kind, three random views of each beside it."""
    recipe = PRESETS["caffe-imagenet"]
    evaluation = Samples.open(models / "imagenet-images", recipe)
    labels = read_labels(models / "imagenet-images" / "labels.csv")
    photographs = Samples.open(models / "coco-images" / "images", recipe)
    whole = Data(
        calibration=photographs,
        evaluation=evaluation,
        truth=match_labels(evaluation.names, labels),
        preprocessing=recipe,
        views=3,
    )
    return (whole,)


def _imagenet_halves(models: Path) -> Sequence[Data]:
    """Calibrate on images of the same kind: each half of them, for the other half."""
    recipe = PRESETS["caffe-imagenet"]
    images = Samples.open(models / "imagenet-images", recipe)
    labels = read_labels(models / "imagenet-images" / "labels.csv")
    truth = match_labels(images.names, labels)
    return tuple(
        Data(
            calibration=images[1 - half :: 2],
            evaluation=images[half::2],
            truth=truth[half::2],
            preprocessing=recipe,
        )
        for half in (0, 1)
    )


def _cifar(preset: str) -> Callable[[Path], Sequence[Data]]:
    def data(models: Path) -> Sequence[Data]:
        recipe = PRESETS[preset]
        evaluation = Samples.open(models / "cifar10" / "test_5k.zip", recipe)
        training = Samples.open(models / "cifar10" / "train_25k.zip", recipe)
        whole = Data(
            calibration=training.take(512, seed=0),
            evaluation=evaluation,
            truth=labels_from_folders(evaluation.names).classes,
            preprocessing=recipe,
        )
        return (whole,)

    return data


def _rows(inputs: NDArray[np.float32], truth: Array) -> Sequence[Data]:
    """Split prepared inputs: some drawn at random to calibrate, all others to evaluate."""
    order = np.random.default_rng(0).permutation(len(inputs))
    calibration, evaluation = np.sort(order[:CALIBRATED]), np.sort(order[CALIBRATED:])

    def samples(rows: NDArray[np.int64]) -> Samples:
        return Samples([f"row {i}" for i in rows], lambda i: inputs[rows[i]])

    part = Data(
        calibration=samples(calibration), evaluation=samples(evaluation), truth=truth[evaluation]
    )
    return (part,)


def _keywords(models: Path) -> Sequence[Data]:
    with np.load(models / "kws-dscnn-tf" / "kws01_mfcc_int8.npz") as file:
        steps = file["x"].astype(np.float32) - np.float32(file["zero_point"])
        return _rows((steps * file["scale"])[..., None], file["y"])


def _heartbeats(models: Path) -> Sequence[Data]:
    table = np.loadtxt(models / "ecg5000-tcn-1d" / "ECG5000_TRAIN.txt", dtype=np.float32)
    return _rows(table[:, None, 1:], table[:, 0].astype(np.int64) - 1)


def _tones(models: Path) -> Sequence[Data]:
    with np.load(models / "crepe-tiny-1d-pytorch" / "tones500.npz") as file:
        return _rows(file["x"], 1200 * np.log2(file["f0"] / 10))


def _cents(scores: Array) -> Array:
    """Return the pitch in cents above 10 Hz: the mean of 9 bins around the largest (CREPE)."""
    bins = 20 * np.arange(scores.shape[1]) + 1997.3794084376191
    near = np.abs(np.arange(scores.shape[1]) - scores.argmax(axis=1)[:, None]) <= 4
    weights = np.where(near, scores, 0).astype(np.float64)
    return (weights * bins).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-30)


def _in_folder(name: str) -> Callable[[Path], Source]:
    return lambda folder: Source(model=str(folder / name))


def _resnet20(folder: Path) -> Source:
    return Source(
        model=f"{folder / 'resnet.py'}:resnet20",
        weights=folder / "resnet20_cifar10_jpegft.pth",
        input_shapes=[(1, 3, 32, 32)],
    )


_ALL = (
    Task(
        name="squeezenet",
        folder="squeezenet-v1.1-caffe",
        source=_in_folder("deploy.prototxt"),
        data=_imagenet,
    ),
    Task(
        name="squeezenet-halves",
        folder="squeezenet-v1.1-caffe",
        source=_in_folder("deploy.prototxt"),
        data=_imagenet_halves,
    ),
    Task(
        name="resnet20",
        folder="resnet20-cifar10-pytorch",
        source=_resnet20,
        data=_cifar("cifar10-torch"),
    ),
    Task(
        name="resnet8",
        folder="resnet8-cifar10-keras",
        source=_in_folder("pretrainedResnet.h5"),
        data=_cifar("keras-cifar10-raw"),
    ),
    Task(
        name="kws-dscnn",
        folder="kws-dscnn-tf",
        source=_in_folder("saved_model"),
        data=_keywords,
    ),
    Task(
        name="ecg5000-tcn",
        folder="ecg5000-tcn-1d",
        source=_in_folder("tcn.onnx"),
        data=_heartbeats,
    ),
    Task(
        name="crepe-tiny",
        folder="crepe-tiny-1d-pytorch",
        source=_in_folder("crepe_tiny.onnx"),
        data=_tones,
        answers=_cents,
        right=lambda answers, truth: np.abs(answers - truth) < 50,
        measure="within 50 cents",
    ),
)

TASKS: Mapping[str, Task] = {task.name: task for task in _ALL}
"""Every task by its name."""
