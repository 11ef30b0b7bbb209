"""Where finished builds are kept: under a hash of what they are made of, whole or not at all.

The folder is TF2_CACHE, else XDG_CACHE_HOME/tf2, else ~/.cache/tf2. Of two processes that need the
same build, the second waits for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of finished builds; it may not exist yet."""
    chosen = os.environ.get("TF2_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tf2"


def hash_of(*parts: str) -> str:
    """Return what tells builds apart: 32 hexadecimal digits of all parts and their borders."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode() + part.encode())
    return digest.hexdigest()[:32]


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a file or folder of the cache; others wait."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a path to make; it becomes `target` when the block ends well, else nothing stays."""
    path = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        yield path
        if path.exists():
            path.replace(target)
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def write_whole(target: Path, text: str) -> None:
    """Write a text to the cache; it is there completely or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with appearing(target) as path:
        path.write_text(text)
