"""A file is complete or not there: disk full, Ctrl-C and refused renames, at every step."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from model_file_examples import model_of, random_graph

from tf2.errors import ModelFileError
from tf2.model_file import atomic_write, read_model, write_model

MODEL = model_of(random_graph(3))


@pytest.fixture(params=["new", "existing"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path to write, and what must be there after a failure."""
    path = tmp_path / "model.tf2"
    if request.param == "existing":
        path.write_bytes(b"the old content")
    return path


def assert_nothing_changed(target: Path) -> None:
    left = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    assert left in ({}, {"model.tf2": b"the old content"})


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let files grow to ``size`` bytes only: the write fails in the kernel, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 1, 64, 1000])
def test_full_disk_leaves_nothing_behind(target: Path, size: int) -> None:
    with disk_of(size), pytest.raises(ModelFileError, match=r"model\.tf2 cannot be written"):
        write_model(MODEL, target)
    assert_nothing_changed(target)


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod", "open"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_at_any_step_leaves_nothing_behind(
    target: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    if step == "chmod" and not target.exists():
        pytest.skip("a new file takes the mode that the system gives it")

    def fail(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    expected = ModelFileError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match=r"No space left|^$"):
        write_model(MODEL, target)
    monkeypatch.undo()
    assert_nothing_changed(target)


@pytest.mark.parametrize("written", [0, 5, 100_000])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_exception_of_the_block_comes_out_and_leaves_nothing_behind(
    target: Path, written: int, failure: type[BaseException]
) -> None:
    with pytest.raises(failure), atomic_write(target) as file:  # noqa: PT012 - the block is the case
        file.write(bytes(written))
        raise failure
    assert_nothing_changed(target)


def test_old_content_is_there_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.tf2"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("replace"), replace(a, b)))
    with atomic_write(tmp_path / "a") as file:
        file.write(b"x")
    assert steps == ["fsync", "replace", "fsync"]  # the last one is the folder's


def test_mode_is_the_users_for_a_new_file_and_kept_for_an_old_one(tmp_path: Path) -> None:
    path, plain = tmp_path / "a", tmp_path / "plain"
    plain.write_bytes(b"")
    for mode in (stat.S_IMODE(plain.stat().st_mode), 0o600, 0o640):
        if path.exists():
            path.chmod(mode)
        with atomic_write(path) as file:
            file.write(b"x")
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


def test_folder_or_device_is_never_replaced(tmp_path: Path) -> None:
    device = tmp_path / "pipe"
    os.mkfifo(device)
    for path in (tmp_path, device):
        with pytest.raises(ModelFileError, match="no regular file"):
            write_model(MODEL, path)
    assert stat.S_ISFIFO(device.stat().st_mode)


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no/model"):
        write_model(MODEL, tmp_path / "no" / "model.tf2")
    assert not list(tmp_path.iterdir())


def test_name_of_any_legal_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".tf2")
    write_model(MODEL, path)
    assert read_model(path).manifest == MODEL.manifest
