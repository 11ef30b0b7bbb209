"""The zip archive of a ``.tf2`` file: fixed members, one way to write them, bounds on reading.

Text members are deflated, tensors stored and aligned. The SHA-256 of every member is in
``manifest.json``, that of ``manifest.json`` is the comment of the archive. A comment stands at the
very end of the file, so a shortened file is noticed before anything of it is used.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tf2.errors import ModelFileError
from tf2.model_file.tensors import ALIGNMENT

MANIFEST, GRAPH, TENSORS = "manifest.json", "graph.json", "tensors.safetensors"
MEMBERS = (MANIFEST, GRAPH, TENSORS)

MAX_TEXT_BYTES = 16 << 20
"""Largest JSON member, inflated: thirty times that of the largest classifier known."""

COMMENT = b"tf2 manifest sha256:"
_PADDING_FIELD = 0xD935  # the extra field that Android's zipalign pads with
_LOCAL_HEADER_BYTES = 30

_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # encrypted members; NotImplementedError is one
)
"""What zipfile raises on damaged archives."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def archive_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return the archive of these members, in the order of `MEMBERS`; equal ones give equal bytes.

    Raises:
        ValueError: A member is too large for the format.
    """
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w", allowZip64=False) as archive:
            archive.comment = COMMENT + sha256(members[MANIFEST]).encode()
            for name in MEMBERS:
                _add_member(archive, name, members[name], at=buffer.tell())
    except zipfile.LargeZipFile as error:
        raise ValueError("a model of more than 2 GB cannot be written") from error
    return buffer.getvalue()


def _add_member(archive: zipfile.ZipFile, name: str, data: bytes, *, at: int) -> None:
    info = zipfile.ZipInfo(name)  # its time stamp is 1980-01-01, always
    info.create_system = 3  # and not the system that happens to write
    info.external_attr = 0o644 << 16
    if name != TENSORS:
        if len(data) > MAX_TEXT_BYTES:
            raise ValueError(f"{name} would have {len(data)} bytes, the limit is {MAX_TEXT_BYTES}")
        archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)
        return
    fill = -(at + _LOCAL_HEADER_BYTES + len(name) + 4) % ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_FIELD, fill) + bytes(fill)
    archive.writestr(info, data, zipfile.ZIP_STORED)


class Archive:
    """An open ``.tf2`` file; `open_archive` makes it."""

    def __init__(self, path: Path, file: zipfile.ZipFile, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size

    def read_manifest(self) -> bytes:
        """Return manifest.json, checked against the archive's comment.

        Raises:
            ModelFileError: It is missing, too large or altered.
        """
        if MANIFEST not in self._file.namelist():
            raise ModelFileError(
                f"{self._path} is a zip archive but no .tf2 file: it has no {MANIFEST}. If it is a "
                "trained network (.pt, .keras), compress it with tf2 compress first"
            )
        comment = self._file.comment
        if not comment.startswith(COMMENT):
            raise ModelFileError(
                f"{self._path} is no .tf2 file, or its end is altered: the archive has no checksum"
            )
        return self.read(MANIFEST, comment[len(COMMENT) :].decode("ascii", "replace"))

    def check_members(self, expected: Mapping[str, int]) -> None:
        """Check that the archive holds the manifest and the members it lists, and nothing else.

        Args:
            expected: Size of each member but the manifest.

        Raises:
            ModelFileError: Names a member that is missing, unknown, twice there or of another size.
        """
        found = sorted(self._file.namelist())
        if found != sorted((MANIFEST, *expected)) or found != sorted(MEMBERS):
            raise ModelFileError(
                f"{self._path} is damaged or altered: it holds {_listed(found)} where "
                f"{_listed(MEMBERS)} are expected, its manifest lists {_listed(list(expected))}"
            )
        for name, size in expected.items():
            if self._file.getinfo(name).file_size != size:
                raise self._altered(name, f"its size is not the {size} bytes of the manifest")

    def read(self, name: str, digest: str) -> bytes:
        """Return a member whose SHA-256 is ``digest``, never more than its bounds allow.

        Raises:
            ModelFileError: Names the member that is too large or altered.
        """
        info = self._file.getinfo(name)
        if info.compress_type == zipfile.ZIP_STORED:
            limit = self._size
        elif info.compress_type == zipfile.ZIP_DEFLATED and name != TENSORS:
            limit = MAX_TEXT_BYTES
        else:
            raise self._altered(name, f"it is compressed by method {info.compress_type}")
        if info.file_size > limit:
            raise self._altered(name, f"it claims {info.file_size} bytes, at most {limit} can be")
        try:
            with self._file.open(info) as member:
                data = member.read(info.file_size)  # inflates no more than it was asked for
        except _READ_ERRORS as error:
            raise self._altered(name, str(error)[:200]) from error
        if len(data) != info.file_size or sha256(data) != digest:
            raise self._altered(name, "its content does not have the SHA-256 that was written")
        return data

    def _altered(self, name: str, reason: str) -> ModelFileError:
        return ModelFileError(
            f"{self._path} is damaged or altered: member {name}: {reason}. Copy or make it again"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


@contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[Archive]:
    """Open a ``.tf2`` file for reading.

    Raises:
        ModelFileError: There is no such file, or it is no zip archive, or only a part of one.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; a .tf2 model is one file")
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        start = file.read(4)
        size = file.seek(0, os.SEEK_END)
        try:
            archive = zipfile.ZipFile(file)
        except _READ_ERRORS as error:
            raise ModelFileError(_no_archive(path, start, size)) from error
        with archive:
            yield Archive(path, archive, size)


def _no_archive(path: Path, start: bytes, size: int) -> str:
    if not size:
        return f"{path} is empty"
    if start == b"PK\x03\x04":
        return f"{path} is truncated: the end of the archive is missing. Copy or make it again"
    return (
        f"{path} is no .tf2 file: it is no zip archive. tf2 compress makes one of a model, "
        "tf2 import says what is in a model"
    )
