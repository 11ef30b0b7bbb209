"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a file to write; it becomes ``path`` when the block ends well, else nothing changes.

    Whatever goes wrong (disk full, Ctrl-C, an exception of the block), an existing file of that
    name keeps its content and no temporary file stays. When the block has ended, the content is
    on the disk. A symbolic link is followed: the file it names is replaced.

    Raises:
        OSError: The file cannot be written, or ``path`` is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        # os.replace would put a file in the place of /dev/null.
        raise OSError(errno.EINVAL, "is no regular file, so it cannot be replaced", str(path))
    # Same folder: a rename within one file system is atomic. Opened by hand and not by tempfile,
    # which would make it readable by its owner only.
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except BaseException:  # KeyboardInterrupt too
        with suppress(OSError):  # the reason that counts is the first one
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk as well, where the system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
