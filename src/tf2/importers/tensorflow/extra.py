"""The optional dependency: TensorFlow with tf2onnx, and how it is met without a word."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator

from tf2.errors import MissingExtraError

CHATTY = ("tensorflow", "tf2onnx", "absl")


def require_tensorflow() -> None:
    """Raise MissingExtraError unless TensorFlow, Keras and tf2onnx can be imported."""
    # Read by TensorFlow's C++ side when it is loaded: notes on CPU features and absent GPUs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
            import tf2onnx.convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            extra="tensorflow", need="Reading a TensorFlow or Keras model"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what TensorFlow and tf2onnx print, log and warn of from the user; errors still raise."""
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
