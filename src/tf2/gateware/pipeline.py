"""Registers in a row: a value some cycles later."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value

from tf2.gateware.bare import bare


def delayed(m: Module, value: Any, cycles: int, *, reset: bool = False, name: str = "late") -> Any:
    """Return the value as it was `cycles` cycles ago: the last of its `stages`."""
    return stages(m, value, cycles, reset=reset, name=name)[-1]


def stages(
    m: Module, value: Any, cycles: int, *, reset: bool = False, name: str = "late"
) -> list[Any]:
    """Return the value as it was 0, 1, ... `cycles` cycles ago, as values of the same shape.

    Args:
        m: Where the registers are added.
        value: Anything with a shape.
        cycles: 0 gives the value itself alone.
        reset: Whether the registers are 0 after a reset: for valid bits and strobes.
        name: Of the registers.
    """
    shape = value.shape() if hasattr(value, "shape") else Value.cast(value).shape()
    values = [value]
    for stage in range(1, cycles + 1):
        register = bare(shape, name=f"{name}_{stage}", reset_less=not reset)
        m.d.sync += register.eq(values[-1])
        values.append(register)
    return values
