"""Ctrl-C and SIGTERM as a wish that is looked at between batches."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Interruption:
    """Notes that a signal came, while `noted` is entered.

    Attributes:
        wanted: One has.
    """

    def __init__(self) -> None:
        self.wanted = False

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Take the signals; former handlers are put back at the end."""

        def stop(*_: Any) -> None:
            self.wanted = True

        try:
            former = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: nobody interrupts us
            former = {}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
