"""Batches to train on: which samples a batch holds, and how they are varied, follows from the seed.

Batch b of epoch e is the same whoever asks for it: after an interruption, with more processes
(each takes its share of every batch), with workers that read ahead.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from tf2.data import Preprocessing, Samples
from tf2.data.augmentation import AREA, random_view
from tf2.data.samples import ImageSource, ModelInput
from tf2.errors import DataError, TrainingError

CACHE_BYTES = 1 << 30
"""Decoded images are kept up to this many bytes."""

SMALL = 64
"""Images of up to this size are varied by shifting them, larger ones by random views."""

Key = tuple[int, int]
"""Epoch and batch."""


class TrainingSet(Protocol):
    """Labelled samples that can be had in batches."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Any]:
        """Return inputs and targets; ``key`` is what randomness may depend on, beside the index."""
        ...


class Photographs:
    """Labelled photographs, varied at random; decoded images are kept while memory allows.

    Args:
        source: The images.
        labels: The class of each, (N,).
        augment: See `tf2.training.settings`.
        view_area: See there.
    """

    def __init__(
        self,
        source: ImageSource,
        labels: NDArray[np.int64],
        augment: str,
        view_area: float = AREA[0],
    ) -> None:
        self._source = source
        self._recipe: Preprocessing = source.preprocessing
        self._exact = source.preprocessing.model_copy(update={"keep_exact_size": True})
        self._labels = torch.from_numpy(labels)
        self._augment = augment
        self._area = (view_area, 1.0)
        self._cache: dict[int, NDArray[np.uint8]] = {}
        self._cached_bytes = 0
        gain, offset = source.preprocessing.affine()
        shape = (-1, 1, 1) if source.preprocessing.layout == "NCHW" else (1, 1, -1)
        self._gain = torch.tensor(gain, dtype=torch.float32).reshape(shape)
        self._offset = torch.tensor(offset, dtype=torch.float32).reshape(shape)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return inputs float32 (N, ...) and classes int64 (N,)."""
        bytes_ = [self._varied(i, np.random.default_rng([*key, i])) for i in indices]
        pixels = torch.from_numpy(np.stack(bytes_)).float()
        return pixels * self._gain + self._offset, self._labels[list(indices)]

    def _varied(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        image = self._image(index)
        how, size = self._augment, self._recipe.output_size
        stored = image.shape[:2] == size or size is None
        if how == "auto":
            how = "crop" if stored and max(image.shape[:2]) <= SMALL else "view"
        if how == "view":
            image = random_view(image, size or image.shape[:2], rng, area=self._area)
        elif how == "crop":
            image = _shifted(image, rng)
        if how in ("crop", "flip") and rng.random() < 0.5:
            image = image[:, ::-1]
        return (self._recipe if how == "none" else self._exact).apply_raw(image)

    def _image(self, index: int) -> NDArray[np.uint8]:
        image = self._cache.get(index)
        if image is None:
            image = self._source.read(index)
            if self._cached_bytes + image.nbytes <= CACHE_BYTES:
                self._cache[index] = image
                self._cached_bytes += image.nbytes
        return image


def _shifted(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image moved by up to an eighth of its size, black where nothing is left."""
    height, width = image.shape[:2]
    by = max(1, height // 8), max(1, width // 8)
    top, left = (int(rng.integers(-n, n + 1)) for n in by)
    moved = np.zeros_like(image)
    rows, columns = (
        slice(max(top, 0), height + min(top, 0)),
        slice(max(left, 0), width + min(left, 0)),
    )
    source = image[max(-top, 0) : height + min(-top, 0), max(-left, 0) : width + min(-left, 0)]
    moved[rows, columns] = source
    return moved


class PreparedSamples:
    """Labelled arrays as they are."""

    def __init__(self, samples: Samples, labels: NDArray[np.int64]) -> None:
        self._samples = samples
        self._labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Tensor]:
        """Return inputs float32 (N, ...), by name where there are several, and classes (N,)."""
        return default_collate([self._samples[i] for i in indices]), self._labels[list(indices)]


class UserDataset:
    """A map-style torch dataset of (input, target); its random choices are seeded each batch.

    Args:
        dataset: Or a DataLoader of one, whose collation is kept.

    Raises:
        TrainingError: It has no length, or its elements are no pairs.
    """

    def __init__(self, dataset: Any) -> None:
        self._collate: Callable[[list[Any]], Any] = default_collate
        if isinstance(dataset, DataLoader):
            self._collate, dataset = dataset.collate_fn, dataset.dataset
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TrainingError(
                f"a {type(dataset).__name__} is no map-style dataset: it needs __len__ and "
                "__getitem__"
            )
        if len(dataset) and not _is_pair(dataset[0]):
            raise TrainingError(
                "the dataset's elements must be pairs (input, target): it has no labels, or more "
                "than inputs and targets"
            )
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Any]:
        """Return inputs and targets as torch, or the user's loader, collates them."""
        inputs, targets = self._collate([self._element(index, key) for index in indices])
        return inputs, targets

    def samples(self) -> Samples | None:
        """Return the inputs alone, to calibrate with; None where they are no tensors."""
        if not len(self) or _array(self._dataset[0][0]) is None:
            return None
        names = [f"dataset[{index}]" for index in range(len(self))]
        return Samples(names, self._input)

    def _input(self, index: int) -> ModelInput:
        array = _array(self._element(index, (0,))[0])
        if array is None:
            raise DataError(f"dataset[{index}]: its input is no tensor, unlike the first one's")
        return array

    def _element(self, index: int, key: Sequence[int]) -> Any:
        (seed,) = np.random.SeedSequence([*key, index]).generate_state(1)
        random.seed(int(seed))
        np.random.seed(int(seed))  # what the user's transforms may draw from
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            return self._dataset[index]


def _is_pair(element: Any) -> bool:
    return isinstance(element, tuple | list) and len(element) == 2


def _array(element: Any) -> ModelInput | None:
    """Return a sample's input as float32 arrays, None where it is something else."""
    if isinstance(element, Mapping):
        parts = {str(name): _array(value) for name, value in element.items()}
        arrays = {n: part for n, part in parts.items() if isinstance(part, np.ndarray)}
        return arrays if len(arrays) == len(parts) else None
    if isinstance(element, Tensor):
        element = element.numpy()
    return np.asarray(element, np.float32) if isinstance(element, np.ndarray) else None


class SomeSamples:
    """Samples of a training set, evenly spread over it; all if it has no more."""

    def __init__(self, data: TrainingSet, count: int) -> None:
        self._data = data
        self._indices = np.linspace(0, len(data) - 1, min(count, len(data))).astype(int).tolist()

    def __len__(self) -> int:
        return len(self._indices)

    def batch(self, indices: Sequence[int], key: Sequence[int]) -> tuple[Any, Any]:
        """Return inputs and targets, as the whole set does."""
        return self._data.batch([self._indices[i] for i in indices], key)


def training_set(
    samples: Samples, labels: NDArray[np.int64], augment: str, view_area: float = AREA[0]
) -> TrainingSet:
    """Return labelled samples as a training set; photographs are varied as ``augment`` says."""
    if len(labels) != len(samples):
        raise DataError(f"{len(labels)} labels for {len(samples)} samples")
    source = samples.photographs
    if source is None:
        return PreparedSamples(samples, labels)
    return Photographs(source, labels, augment, view_area)


def check_classes(labels: NDArray[np.int64], classes: int) -> None:
    """Refuse labels beyond the network's classes.

    Raises:
        DataError: There are some; says how many classes there are.
    """
    if labels.size and int(labels.min()) < 0:
        raise DataError(f"the labels name class {int(labels.min())}: classes begin at 0")
    if labels.size and int(labels.max()) >= classes:
        raise DataError(
            f"the labels name class {int(labels.max())}, but the network has {classes} classes "
            f"(0..{classes - 1}): check the labels, or the network's output"
        )


class Batches:
    """The batches of each epoch, the part of one process.

    Args:
        data: All samples.
        size: Of a batch over all processes; the last incomplete one of an epoch is left out.
        seed: Of order and variation.
        rank: Of this process.
        world: Number of processes; divides the size.
        workers: Processes that read ahead; 0 reads in this one.

    Raises:
        TrainingError: There are fewer samples than processes, or the size does not divide.
    """

    def __init__(
        self,
        data: TrainingSet,
        *,
        size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        if len(data) == 0:
            raise TrainingError("the training set is empty")
        size = min(size, len(data) // world * world)
        if size == 0 or size % world:
            raise TrainingError(
                f"batches of {size} of {len(data)} samples cannot be shared by {world} processes "
                "evenly: choose a batch size that is a multiple of their number"
            )
        self.size = size
        self.count = len(data) // size
        self._data, self._seed, self._rank, self._world = data, seed, rank, world
        self._workers = workers

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Any, Any]]:
        """Yield inputs and targets of an epoch's batches, from batch ``first`` on."""
        keys = [(epoch, number) for number in range(first, self.count)]
        loader = DataLoader(
            _Fetch(self._data, self._seed, self.size, self._rank, self._world),
            sampler=_Keys(keys),
            batch_size=None,
            num_workers=self._workers,
        )
        return iter(loader)


class _Keys(Sampler[Key]):
    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _Fetch(Dataset[tuple[Any, Any]]):
    def __init__(self, data: TrainingSet, seed: int, size: int, rank: int, world: int) -> None:
        self._data, self._seed, self._size = data, seed, size
        self._rank, self._world = rank, world
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __getitem__(self, key: Key) -> tuple[Any, Any]:
        epoch, number = key
        if self._order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._data))
            self._order = (epoch, order)
        whole = self._order[1][number * self._size : (number + 1) * self._size]
        return self._data.batch(whole[self._rank :: self._world].tolist(), (self._seed, epoch))


def epochs_done(step: int, epoch: int, epochs_of_steps: Sequence[int]) -> int:
    """Return the running number of an epoch of a step: what its batches are drawn by."""
    return math.floor(sum(epochs_of_steps[:step])) + epoch
