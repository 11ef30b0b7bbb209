"""Class names and the true class of each sample, from text files, CSV files and folder names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tf2.data.arrays import read_npz
from tf2.errors import DataError

MAX_FILE_BYTES = 256 << 20
_WORDNET_ID = re.compile(r"n\d{8}\s+(?=\S)")
_CLASS_INDEX = re.compile(r"[0-9]{1,9}")
_MAX_CLASS = 10**9
_NAMES_SHOWN = 3


def read_class_names(path: str | Path) -> list[str]:
    """Return the class names of a text file, one a line, by class index.

    A WordNet id before the name (``n01440764 tench, Tinca tinca``) is dropped. Blank lines at the
    end are ignored.

    Raises:
        DataError: Unreadable, no UTF-8, empty, or a blank line between names (the indices of all
            names after it would be in doubt).
    """
    lines = [line.strip() for line in _read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: holds no class names. Write one name a line, class 0 first")
    if "" in lines:
        raise DataError(f"{path} line {lines.index('') + 1}: blank; each line names one class")
    return [
        _WORDNET_ID.sub("", line, count=1) if _WORDNET_ID.match(line) else line for line in lines
    ]


def read_labels(path: str | Path) -> dict[str, int]:
    """Return file name to class index from a CSV with the columns ``file`` and ``class_index``.

    The header is required, other columns are ignored, names get ``/`` between components.

    Raises:
        DataError: Unreadable, without these columns, without rows, or a row is wrong; names the
            line and shows it.
    """
    labels: dict[str, int] = {}
    rows = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        header = [column.strip().lower() for column in next(rows, [])]
        if not {"file", "class_index"} <= set(header):
            raise DataError(
                f"{path} line 1: columns {header}; 'file' and 'class_index' are needed in a header"
            )
        file_at, class_at = header.index("file"), header.index("class_index")
        for row in rows:
            if row:
                where = f"{path} line {rows.line_num}"
                name, index = _parse_row(row, file_at, class_at, where)
                if labels.setdefault(name, index) != index:
                    raise DataError(f"{where}: {name} is class {labels[name]} in a line before")
    except csv.Error as error:
        raise DataError(f"{path} line {rows.line_num}: not a CSV: {error}") from error
    if not labels:
        raise DataError(f"{path}: a header and no rows")
    return labels


def read_array_labels(path: str | Path, key: str) -> NDArray[np.int64]:
    """Return the class of each sample, int64 (N,), from the array ``key`` of an npz.

    Raises:
        DataError: No such array, or it is not one row of integers from 0.
    """
    labels = read_npz(path, key)
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.size == 0:
        raise DataError(
            f"{path}[{key}]: {labels.dtype} {labels.shape}; class indices are integers (N,)"
        )
    if labels.min() < 0 or labels.max() > _MAX_CLASS:
        raise DataError(f"{path}[{key}]: values {labels.min()}..{labels.max()} are no class index")
    return labels.astype(np.int64)


def match_labels(
    names: Sequence[str], labels: Mapping[str, int], origin: str = "the label file"
) -> NDArray[np.int64]:
    """Return the class of each of ``names`` (``Samples.names``), int64 (N,).

    When any name is in ``labels`` as it stands, all are looked up so; otherwise all by base name,
    so that a labelled folder can be opened one level up or down. Labels without a sample are fine:
    a part of a data set is evaluated with the labels of the whole.

    Args:
        names: Of the samples.
        labels: From ``read_labels``.
        origin: What to call ``labels`` in messages.

    Raises:
        DataError: A sample has no label, or the base name it is found by is that of several files
            of different classes; gives counts and the first names.
    """
    wanted = [_normal(name) for name in names]
    known: Mapping[str, int | None] = labels
    if not any(name in labels for name in wanted):
        wanted = [PurePosixPath(name).name for name in wanted]
        known = _by_base_name(labels)
    missing = [given for given, name in zip(names, wanted, strict=True) if name not in known]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} samples have no label in {origin}: {_some(missing)}. "
            f"It names {len(labels)} files: {_some(list(labels))}. Add rows for these samples, or "
            "open the folder that the names are relative to"
        )
    classes = [known[name] for name in wanted]
    doubtful = [given for given, c in zip(names, classes, strict=True) if c is None]
    if doubtful:
        raise DataError(
            f"{len(doubtful)} of {len(names)} samples share their base name with files of other "
            f"classes in {origin}: {_some(doubtful)}. Open the folder that its names are relative "
            "to"
        )
    return np.array(classes, np.int64)


class FolderLabels(NamedTuple):
    """The class of each sample, int64 (N,), and the class names by index."""

    classes: NDArray[np.int64]
    class_names: list[str]


def labels_from_folders(
    names: Sequence[str], class_names: Sequence[str] | None = None
) -> FolderLabels:
    """Return the class of each sample by the folder that it lies in (``cat/0001.jpg``).

    Class indices follow ``class_names`` or, without it, the alphabet: then a class without
    samples would shift all behind it, so give the names for a part of a data set.

    Raises:
        DataError: A sample lies in no folder, there is one folder only, or a folder is not among
            ``class_names``.
    """
    folders = [PurePosixPath(_normal(name)).parent.name for name in names]
    loose = [name for name, folder in zip(names, folders, strict=True) if not folder]
    found = sorted(set(folders))
    if loose or (len(found) < 2 and class_names is None):
        where = f"{len(loose)} lie in no folder: {_some(loose)}" if loose else f"all in {found}"
        raise DataError(
            f"no class folders: of {len(names)} samples {where}. Put each class in a folder of its "
            "name, or give a CSV with the columns file,class_index"
        )
    order = {name: index for index, name in enumerate(class_names or found)}
    unknown = [folder for folder in found if folder not in order]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(found)} folders are not among the {len(order)} class names: "
            f"{_some(unknown)}. Name the folders as the classes: {_some(list(order))}"
        )
    return FolderLabels(np.array([order[f] for f in folders], np.int64), list(class_names or found))


def _parse_row(row: list[str], file_at: int, class_at: int, where: str) -> tuple[str, int]:
    shown = ",".join(row)[:80]
    if len(row) <= max(file_at, class_at):
        raise DataError(f"{where}: {len(row)} columns, too few: {shown!r}")
    name, index = _normal(row[file_at].strip()), row[class_at].strip()
    if not name:
        raise DataError(f"{where}: no file name: {shown!r}")
    if not _CLASS_INDEX.fullmatch(index):
        raise DataError(f"{where}: class_index {index[:20]!r} is not a number from 0: {shown!r}")
    return name, int(index)


def _by_base_name(labels: Mapping[str, int]) -> dict[str, int | None]:
    """Return the class by base name; None where files of one base name differ in class."""
    by_base: dict[str, int | None] = {}
    for name, index in labels.items():
        base = PurePosixPath(name).name
        by_base[base] = index if by_base.get(base, index) == index else None
    return by_base


def _normal(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names) - _NAMES_SHOWN} more)" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _read_text(path: str | Path) -> str:
    """Return the text of a bounded UTF-8 file, with or without a byte order mark."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB: not a list of names")
        return path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from error
