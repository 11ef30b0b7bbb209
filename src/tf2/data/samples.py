"""Model inputs from folders, zip files, lists of images and NumPy files, one interface for all.

samples = Samples.open("photos/", Preprocessing.load("torch-imagenet"))
for batch in samples.take(128, seed=0).batches(32):
    run(batch.inputs)                  # float32 (32, 3, 224, 224); batch.names says which
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from tf2.data.augmentation import random_view
from tf2.data.preprocessing import Preprocessing
from tf2.errors import DataError

ModelInput = NDArray[np.float32] | dict[str, NDArray[np.float32]]
"""One array; or, for a network of several inputs, an array for each input name."""

InputShapes = Mapping[str, Sequence[int | None]]
"""Input name to the shape of one sample, without the batch axis; None fits any length."""

_COUNTED_ON_ERROR = 1000  # samples tried to tell how many are good


class Batch(NamedTuple):
    """Some samples, stacked along a new first axis, and their names in that order."""

    names: tuple[str, ...]
    inputs: ModelInput

    def feed(self, input_names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the arrays by input name, for a network whose inputs are ``input_names``.

        Raises:
            DataError: The batch holds other inputs, or one array where the network takes several.
        """
        if not isinstance(self.inputs, dict):
            if len(input_names) == 1:
                return {input_names[0]: self.inputs}
            raise DataError(
                f"the network takes {len(input_names)} inputs ({', '.join(input_names)}), the "
                "samples are one array each. Give an .npz with one array for each input"
            )
        missing = [name for name in input_names if name not in self.inputs]
        if missing:
            raise DataError(f"no array for input {missing[0]!r}; there are {list(self.inputs)}")
        return {name: self.inputs[name] for name in input_names}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A sample that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where photographs come from: uint8 (H, W, 3) RGB by index, and what is done to them."""

    read: Callable[[int], NDArray[np.uint8]]
    preprocessing: Preprocessing


class Samples(Sequence[ModelInput]):
    """A finite sequence of named model inputs; each is read, checked and prepared when asked for.

    ``samples[i]`` is float32, contiguous and finite, without a batch axis. The same index always
    gives the same values. A sample that cannot be used raises a ``DataError`` that names it;
    ``without_bad`` (or ``skip_bad=True`` when opening) leaves such samples out.

    Attributes:
        names: One for each sample: an image's path relative to what was opened, or
            ``file.npy[3]``.
        skipped: What was left out, with reasons.

    Args:
        names: As the attribute.
        load: Gives the sample at an index, or raises ``DataError``.
        images: Where the photographs come from, when they are what is loaded.
        skipped: As the attribute.
    """

    def __init__(
        self,
        names: Sequence[str],
        load: Callable[[int], ModelInput],
        *,
        images: ImageSource | None = None,
        skipped: tuple[Skipped, ...] = (),
    ) -> None:
        self.names = tuple(names)
        self.skipped = skipped
        self._load = load
        self._images = images

    @classmethod
    def open(
        cls,
        place: str | Path | Sequence[str | Path],
        preprocessing: Preprocessing | None = None,
        *,
        inputs: InputShapes | None = None,
        key: str | None = None,
        skip_bad: bool = False,
    ) -> Samples:
        """Return the samples in ``place``: a folder, a zip, an image, a list of images, npy, npz.

        Images need ``preprocessing``. In NumPy files axis 0 counts the samples:

        - uint8 with ``preprocessing``: photographs, (N, H, W, 3) RGB, or (N, H, W, 1) or
          (N, H, W) grey; any other shape is refused.
        - everything else is taken as prepared already, and only converted to float32.

        Of an npz the array ``key`` is taken; or the only one; or those named as ``inputs``, as
        dict samples when these are several.

        Args:
            place: What to open.
            preprocessing: For photographs.
            inputs: The network's inputs; each sample is checked against their shapes.
            key: Name of the array in an npz.
            skip_bad: Read every sample once now, and leave out those that cannot be used.

        Raises:
            DataError: Nothing there, or nothing usable; says what was found.
        """
        from tf2.data.sources import open_source

        samples = open_source(place, preprocessing, inputs=inputs, key=key)
        return samples.without_bad() if skip_bad else samples

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> ModelInput: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> ModelInput | Samples:
        """Return one sample, or the part of the sequence that a slice names."""
        if isinstance(index, slice):
            return self._select(range(len(self))[index])
        index = range(len(self))[index]
        try:
            return self._load(index)
        except DataError as error:
            raise DataError(f"{error}. {self._count_good()}") from error

    @property
    def photographs(self) -> ImageSource | None:
        """The images that the samples are made of, None where they are prepared arrays."""
        return self._images

    def __iter__(self) -> Iterator[ModelInput]:
        return (self[i] for i in range(len(self)))

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all samples in order, ``size`` at a time; the last batch may be smaller.

        Raises:
            DataError: A sample cannot be used, or differs in shape from the one before it.
        """
        if size < 1:
            raise DataError(f"a batch has at least 1 sample, not {size}")
        for start in range(0, len(self), size):
            part = range(start, min(start + size, len(self)))
            names = tuple(self.names[i] for i in part)
            yield Batch(names, _stack(names, [self[i] for i in part]))

    def stacked(self) -> Batch:
        """Return all samples as one batch: in memory, so for calibration sets.

        Raises:
            DataError: As ``batches``; or there is no sample.
        """
        if not self.names:
            raise DataError("no samples to stack")
        return next(self.batches(len(self)))

    def take(self, count: int, seed: int) -> Samples:
        """Return ``count`` samples drawn without replacement, in their old order; all if fewer.

        The same seed draws the same samples, and a larger count keeps those of a smaller one.
        """
        if count < 1:
            raise DataError(f"at least 1 sample must be taken, not {count}")
        drawn = np.random.default_rng(seed).permutation(len(self))[:count]
        return self._select(sorted(drawn.tolist()))

    def crops(self, per_image: int, seed: int) -> Samples:
        """Return these samples followed by ``per_image`` random views of each photograph.

        A view is a random resized crop, mirrored or not (``augmentation.random_view``), made at
        the size the network wants. It depends on the seed, its number and the image's name only,
        not on the other images. Views are for calibration: their names end in ``#view0``.

        Raises:
            DataError: The samples are no photographs, so there is nothing to crop.
        """
        source = self._images
        if source is None:
            raise DataError(
                "these samples are prepared arrays: views can be made of photographs only. Open "
                "images, or uint8 arrays (N, H, W, 3) with a preprocessing"
            )
        if per_image < 0:
            raise DataError(f"the number of views for each image cannot be {per_image}")
        count = len(self)
        names = [f"{name}#view{k}" for k in range(per_image) for name in self.names]
        recipe = source.preprocessing.model_copy(update={"keep_exact_size": True})

        def read(index: int) -> NDArray[np.uint8]:
            image = source.read(index % count)
            if index < count:
                return image
            number, position = divmod(index - count, count)
            key = zlib.crc32(self.names[position].encode())
            size = recipe.output_size or (image.shape[0], image.shape[1])
            return random_view(image, size, np.random.default_rng([seed, key, number]))

        def load(index: int) -> ModelInput:
            if index < count:
                return self._load(index)
            return prepare(recipe, read(index), names[index - count])

        images = ImageSource(read=read, preprocessing=source.preprocessing)
        return Samples([*self.names, *names], load, images=images, skipped=self.skipped)

    def without_bad(self) -> Samples:
        """Return the samples that can be used; reads each once now, and lists the others.

        Raises:
            DataError: None can be used; gives the first reason.
        """
        good, bad = [], []
        for index, name in enumerate(self.names):
            try:
                self._load(index)
                good.append(index)
            except DataError as error:
                bad.append(Skipped(name=name, reason=str(error)))
        if bad and not good:
            raise DataError(f"none of {len(bad)} samples can be used. The first: {bad[0].reason}")
        rest = self._select(good)
        rest.skipped = (*self.skipped, *bad)
        return rest

    def _select(self, indices: Sequence[int]) -> Samples:
        images = self._images
        if images is not None:
            whole = images.read
            images = replace(images, read=lambda i: whole(indices[i]))
        names = [self.names[i] for i in indices]
        return Samples(names, lambda i: self._load(indices[i]), images=images, skipped=self.skipped)

    def _count_good(self) -> str:
        tried = min(len(self), _COUNTED_ON_ERROR)
        good = 0
        for index in range(tried):
            with contextlib.suppress(DataError):
                self._load(index)
                good += 1
        those = f"the first {tried}" if tried < len(self) else f"all {tried}"
        if not good:
            return f"Of {those} samples none is good"
        return (
            f"Of {those} samples {good} are good; leave the others out with --skip-bad "
            "(skip_bad=True)"
        )


def prepare(
    preprocessing: Preprocessing, image: NDArray[np.uint8], name: str
) -> NDArray[np.float32]:
    """Return ``preprocessing.apply(image)``; an error names the image."""
    try:
        return preprocessing.apply(image)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _stack(names: Sequence[str], parts: Sequence[ModelInput]) -> ModelInput:
    first = parts[0]
    if isinstance(first, dict):
        members = [part for part in parts if isinstance(part, dict)]
        return {key: _stack_arrays(names, [m[key] for m in members]) for key in first}
    return _stack_arrays(names, [part for part in parts if not isinstance(part, dict)])


def _stack_arrays(
    names: Sequence[str], arrays: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise DataError(
                f"{name}: shape {array.shape}, but {names[0]} has {arrays[0].shape}. Samples of a "
                "batch have one shape: use a preprocessing that crops or resizes to a fixed size"
            )
    return np.stack(arrays)
