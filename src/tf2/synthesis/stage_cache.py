"""Stages of a build, each made once: kept in the build cache under what it was made of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tf2.sim.build_cache import appearing, cache_folder, hash_of, locked


def stage(name: str, parts: tuple[str, ...], make: Callable[[Path, Path], None]) -> Path:
    """Return the folder of a finished stage; it is made now if it was not before.

    An interrupted or failed stage leaves its log and nothing else, so it is made anew the next
    time; the stages before it are not.

    Args:
        name: Of the stage, for whoever looks into the cache.
        parts: All that the result depends on: texts, options, versions of tools.
        make: Called with an empty folder to fill, and the path of the log to write.
    """
    target = stage_folder(name, parts)
    with locked(target):
        if not target.exists():
            with appearing(target) as folder:
                folder.mkdir()
                make(folder, target.with_suffix(".log"))
    return target


@contextmanager
def lent(file: Path, folder: Path) -> Iterator[str]:
    """Give the name of a file of an earlier stage in the folder of this one.

    Tools in WebAssembly see the folder that they work in; other places may be hidden from them.
    """
    here = folder / f"in-{file.name}"
    try:
        here.hardlink_to(file)
    except OSError:  # a file system without links
        shutil.copyfile(file, here)
    yield here.name
    here.unlink()


def stage_folder(name: str, parts: tuple[str, ...]) -> Path:
    """Return where a stage's result is, or would be."""
    return cache_folder() / "bitstreams" / f"{name}-{hash_of(*parts)}"
