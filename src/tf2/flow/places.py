"""Samples and labels by the words a user types: ``photos/``, ``set.zip``, ``set.npz:images``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tf2.data import (
    Preprocessing,
    Samples,
    labels_from_folders,
    match_labels,
    read_array_labels,
    read_labels,
)
from tf2.errors import DataError
from tf2.ir import Graph

_NPZ_KEY = re.compile(r"(?P<path>.+\.npz):(?P<key>[^/\\]+)", re.IGNORECASE)


def split_key(place: str | Path) -> tuple[str | Path, str | None]:
    """Return (path, key) of ``FILE.npz:KEY``, and (place, None) of everything else."""
    match = _NPZ_KEY.fullmatch(str(place))
    if match is None or Path(place).exists():
        return place, None
    return match["path"], match["key"]


def open_samples(
    place: str | Path,
    preprocessing: Preprocessing | None,
    graph: Graph,
    *,
    skip_bad: bool = False,
) -> Samples:
    """Return the samples in a folder, zip, image or array file, checked against the graph's inputs.

    Raises:
        DataError: Nothing there, or nothing usable; says what was found.
    """
    path, key = split_key(place)
    shapes = {name: graph.shape(name)[1:] for name in graph.inputs}
    return Samples.open(path, preprocessing, inputs=shapes, key=key, skip_bad=skip_bad)


def open_labels(
    labels: str | Path | None, samples: Samples, class_names: tuple[str, ...] | None = None
) -> NDArray[np.int64]:
    """Return the true class of each sample, int64 (N,).

    Args:
        labels: A CSV with the columns file,class_index; ``FILE.npz:KEY``; None: by folder.
        samples: In this order.
        class_names: By index, for classes by folder.

    Raises:
        DataError: The labels cannot be read, or do not cover the samples.
    """
    if labels is None:
        return _folder_classes(samples, class_names)
    path, key = split_key(labels)
    if key is None:
        return match_labels(samples.names, read_labels(path), origin=str(path))
    classes = read_array_labels(path, key)
    if len(classes) != len(samples):
        raise DataError(f"{labels}: {len(classes)} labels for {len(samples)} samples")
    return classes


def _folder_classes(samples: Samples, class_names: tuple[str, ...] | None) -> NDArray[np.int64]:
    try:
        return labels_from_folders(samples.names, class_names).classes
    except DataError as error:
        raise DataError(f"no label file was given, and {error}") from error
