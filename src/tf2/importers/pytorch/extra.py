"""The optional dependency: torch, and how it is met without a word to the user."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from tf2.errors import MissingExtraError

# Loggers that report on the exporter's own inner workings.
CHATTY = ("torch", "onnxscript", "onnx_ir", "onnx_ir.passes")


def require_torch() -> None:
    """Raise MissingExtraError unless torch and its ONNX exporter can be imported."""
    try:
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(extra="torch", need="Reading a PyTorch model") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporter prints, logs and warns of from the user; errors still raise."""
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    silence = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        warnings.simplefilter("ignore")
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
