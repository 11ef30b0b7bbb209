"""Where an imported graph came from: enough to import it again and to notice that it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tf2.errors import ImportModelError

Format = Literal["onnx", "caffe", "pytorch", "keras", "tensorflow", "graph"]


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """One file that was read, recognized by its content."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The arguments of an import, and the files that it read.

    Attributes:
        format: Which importer read it; "graph" for a module in memory, which no file holds.
        model: Path or ``package.module:function``, as the user gave it.
        weights: Path of a separate file of weights, found or given.
        input_shapes: Shapes that the user fixed, by input name.
        outputs: Outputs that the user chose; None for the model's own.
        files: Every file that was read, except Python code behind a module name.
    """

    format: Format
    model: str
    weights: str | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    files: tuple[FileDigest, ...] = ()


def digests(paths: Iterable[Path]) -> tuple[FileDigest, ...]:
    """Return size and SHA-256 of each file; a folder stands for all files in it, sorted.

    Raises:
        ImportModelError: A file cannot be read.
    """
    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    return tuple(digest(file) for file in files)


def digest(path: Path) -> FileDigest:
    """Return size and SHA-256 of one file.

    Raises:
        ImportModelError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return FileDigest(path=str(path), sha256=sha256, bytes=file.tell())
    except OSError as error:
        raise ImportModelError(f"{path} cannot be read: {error.strerror}") from error


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
