"""Signals without wires for their fields.

Amaranth names every field of a signal as a wire of its own, for waveforms. For rows of hundreds of
bytes that is most of the Verilog, and of the time to write it.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Shape, ShapeCastable, Signal


def bare(shape: Any, *, name: str, reset_less: bool = False) -> Any:
    """Return a signal of a shape, or a view of that shape on a signal of bits alone."""
    if isinstance(shape, ShapeCastable):
        return shape(Signal(Shape.cast(shape).width, name=name, reset_less=reset_less))
    return Signal(shape, name=name, reset_less=reset_less)
