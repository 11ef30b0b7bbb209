"""One compressed model for all tests of the command line, and a way to call it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from color_classifier import CLASSES, write_images, write_labels, write_model
from tf2.cli.main import app

Call = Callable[..., tuple[int, str, str]]


def invoke(*args: object) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of one ``tf2`` command."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def tf2() -> Call:
    return invoke


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder with colors.onnx, photos/, labels.csv, names.txt and colors.tf2."""
    folder = tmp_path_factory.mktemp("cli")
    write_labels(write_images(folder, count=12))
    write_model(folder)
    (folder / "names.txt").write_text("\n".join(CLASSES))
    before = os.getcwd()
    os.chdir(folder)
    try:
        code, _, error = invoke(
            "compress", "colors.onnx", "--calibration", "photos", "--preprocess", "unit-rgb",
            "--labels", "names.txt",
        )  # fmt: skip
    finally:
        os.chdir(before)
    assert code == 0, error
    return folder


@pytest.fixture
def work(shared, tmp_path, monkeypatch):
    """An empty present folder with links to everything in ``shared``."""
    for file in shared.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path
