"""Reading photographs: what they are called, and their pixels as uint8 RGB.

An image is named by its path, or ``archive.zip!member`` inside a zip file, which is read in place.
Only raster formats of Pillow are opened, every read is bounded, and whatever is wrong with a file
comes out as a ``DataError`` that names it.
"""

from __future__ import annotations

import io
import lzma
import os
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tf2.errors import DataError

if TYPE_CHECKING:  # Pillow takes 60 ms to import, and only reading an image needs it
    from PIL import Image

EXTENSIONS = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
# No vector formats; the several pictures of an MPO file (cameras) are read as JPEG.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_IMAGE_BYTES = 256 << 20
MAX_IMAGE_PIXELS = 64 << 20  # decoded: 192 MiB
MAX_ZIP_MEMBERS = 2_000_000
ZIP_MARK = ".zip!"

# What zipfile raises on damaged, encrypted or oddly compressed archives.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError,
    KeyError, IndexError, OverflowError,
)  # fmt: skip


def find_images(place: str | Path) -> list[str]:
    """Return the names of all images in a folder (with its subfolders) or zip file, sorted.

    The order is by path, component by component, and the same on every machine. Files are told by
    their extension; names that begin with a dot and ``__MACOSX`` are left out. Links are followed.

    Raises:
        DataError: ``place`` does not exist or holds no image; says what was found instead.
    """
    path = Path(place)
    if path.is_dir():
        return [str(path / name) for name in image_names(path)]
    return [f"{path}!{name}" for name in image_names(path)]


def image_names(place: str | Path) -> list[str]:
    """Return what ``find_images`` does, relative to ``place`` and with ``/`` between components."""
    path = Path(place)
    if path.is_dir():
        return _select(_walk(path), path)
    if not is_zip(path):
        raise DataError(f"{path}: not a folder and not a .zip file. Name one that holds images")
    with ImageReader() as reader:
        return _select(reader.members(path), path)


def open_image(path: str | Path) -> NDArray[np.uint8]:
    """Return one image as uint8 (H, W, 3) RGB, upright by its EXIF orientation.

    ``path`` is a file or ``archive.zip!member``. 16-bit images keep their upper 8 bits, grey and
    palette images are spread to RGB, CMYK is converted, transparency is dropped (as torchvision's
    and OpenCV's readers do). Of an animation the first frame is taken.

    Raises:
        DataError: The file is missing, truncated, damaged, no image, or larger than the bounds.
    """
    with ImageReader() as reader:
        return reader.open(path)


def is_zip(path: str | Path) -> bool:
    """Return whether ``path`` is an existing file with the extension ``.zip``."""
    return Path(path).suffix.lower() == ".zip" and Path(path).is_file()


class ImageReader:
    """``open_image`` for many images: an archive is opened once and not for every member.

    Close it, or use it in a ``with``. For one thread at a time; a forked process opens its own.
    """

    def __init__(self) -> None:
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._process = os.getpid()

    def open(self, path: str | Path) -> NDArray[np.uint8]:
        """Return one image as ``open_image`` does."""
        return _decode(self._read(str(path)), str(path))

    def members(self, archive: str | Path) -> list[str]:
        """Return the names of the files in a zip archive, as stored."""
        infos = self._archive(str(archive)).infolist()
        if len(infos) > MAX_ZIP_MEMBERS:
            raise DataError(f"{archive}: {len(infos)} members, more than {MAX_ZIP_MEMBERS}")
        return [info.filename for info in infos if not info.is_dir()]

    def close(self) -> None:
        """Close the archives; the reader may be used again and opens them anew."""
        while self._archives:
            self._archives.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, name: str) -> bytes:
        mark = name.lower().rfind(ZIP_MARK)
        if mark >= 0 and not Path(name).exists():
            split = mark + len(ZIP_MARK)
            return self._read_member(name[: split - 1], name[split:])
        try:
            if os.stat(name).st_size > MAX_IMAGE_BYTES:
                raise DataError(f"{name}: larger than {MAX_IMAGE_BYTES >> 20} MiB: not read")
            return Path(name).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise DataError(f"{name}: cannot be read: {reason_of(error)}") from error

    def _read_member(self, archive: str, member: str) -> bytes:
        opened = self._archive(archive)
        try:
            info = opened.getinfo(member)
            if info.file_size > MAX_IMAGE_BYTES:
                raise DataError(
                    f"{archive}!{member}: larger than {MAX_IMAGE_BYTES >> 20} MiB: not read"
                )
            return opened.read(info)  # reads no more than file_size and checks the CRC
        except ZIP_ERRORS as error:
            raise DataError(f"{archive}!{member}: cannot be read: {reason_of(error)}") from error

    def _archive(self, path: str) -> zipfile.ZipFile:
        if self._process != os.getpid():  # the position in the file is shared with the parent
            self._archives, self._process = {}, os.getpid()
        if path not in self._archives:
            try:
                self._archives[path] = zipfile.ZipFile(path)
            except ZIP_ERRORS as error:
                raise DataError(f"{path}: not a readable zip file: {reason_of(error)}") from error
        return self._archives[path]


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files under ``folder`` relative to it; class folders are often links."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed: {reason_of(error)}") from error

    seen = set()
    for root, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        yield from ((Path(root) / name).relative_to(folder).as_posix() for name in files)


def _select(files: Iterable[str], place: Path) -> list[str]:
    """Return those of ``files`` that are images, sorted, or say what is there instead."""
    visible = [name for name in files if not _is_hidden(name)]
    images = [n for n in visible if PurePosixPath(n).suffix.lower() in EXTENSIONS]
    if images:
        return sorted(images, key=lambda n: PurePosixPath(n).parts)
    kinds = Counter(PurePosixPath(n).suffix.lower() or "without extension" for n in visible)
    found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5)) or "no files"
    raise DataError(
        f"{place}: no images. Found: {found}. Images are told by their extension: "
        f"{' '.join(sorted(EXTENSIONS))}"
    )


def _is_hidden(name: str) -> bool:
    return any(s.startswith(".") or s == "__MACOSX" for s in PurePosixPath(name).parts)


def _decode(content: bytes, name: str) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        # Pillow warns about odd metadata; the pixels are what is asked for.
        with warnings.catch_warnings(action="ignore"):
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                _refuse_huge(image, name)
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image), name)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image ({len(content)} bytes)") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise a dozen types
        raise DataError(
            f"{name}: not a readable image ({len(content)} bytes): {reason_of(error)}"
        ) from error


def _refuse_huge(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise DataError(
            f"{name}: {image.width}x{image.height} pixels, more than {MAX_IMAGE_PIXELS}. "
            "Make it smaller first"
        )


def _to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise DataError(f"{name}: floating-point pixels have no agreed range. Save it as 8 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        # LA and PA know no direct way to RGB; the others give the same by it
        through = "RGBA" if "A" in image.mode or "transparency" in image.info else image.mode
        return np.array(image.convert(through).convert("RGB"))
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > 0xFFFF:
        raise DataError(f"{name}: pixels of {grey.min()}..{grey.max()}; only 8 or 16 bits are read")
    return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def reason_of(error: Exception) -> str:
    """Return what an error says, for a message: the system's words, or type and text."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
