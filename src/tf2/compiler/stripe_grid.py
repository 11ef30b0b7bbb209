"""Where the maps of a layer's stripe lie in the Feature Buffer, and the rows it may touch."""

from __future__ import annotations

from dataclasses import replace

from tf2.compiler.geometry import Grid
from tf2.compiler.hazards import Rows
from tf2.compiler.ops import Conv
from tf2.compiler.plan import Plan
from tf2.compiler.stripes import Span, Stripe, axis_of


def slot_of(plan: Plan, conv: Conv, role: str, number: int) -> tuple[int, int]:
    """Return (first row, rows) of the slot that a stripe of a streamed map takes."""
    slot = number % plan.slots[conv.name]
    return plan.rows[f"{conv.name}/{role}{slot}"], plan.slot_rows(conv)[role]


def grid_of(
    plan: Plan, conv: Conv, value: str, role: str, number: int, stripe: Stripe
) -> tuple[Grid, Rows]:
    """Return where a stripe of a map lies, and the rows it may touch.

    Args:
        plan: With rows assigned.
        conv: The layer.
        value: A map that it reads or writes.
        role: "source", "target" or "added".
        number: Of the stripe.
        stripe: It.
    """
    span = {"source": stripe.source, "target": stripe.target, "added": stripe.added}[role]
    storage = plan.storage(value)
    pitch, height = plan.pitch[storage.name], storage.size[1]
    words = plan.words(storage)
    if plan.passes(value):
        base, count = plan.rows[f"{storage.name}/stripe"], span[1] - span[0]
        plane = plan.plane_rows(storage, count)
        grid = Grid(base_row=base, plane_rows=plane, pitch=pitch, first=span[0], height=count)
        return grid, (base, base + words * plane)
    if not plan.streamed(value):
        base = plan.rows[storage.name]
        plane = plan.plane_rows(storage, height)
        grid = Grid(
            base_row=base, plane_rows=plane, slice_rows=words * plane,
            byte_rows=storage.size[0] * words * plane, pitch=pitch, height=height,
        )  # fmt: skip
        return grid, (base, base + plan.whole_rows(storage))
    base, rows = slot_of(plan, conv, role, number)
    if role == "target":
        words = plan.target_words(conv)
    touched = (base, base + rows)
    byte = rows // 4 if storage.sums else 0
    if axis_of(storage.size) == 0:
        plane = plan.plane_rows(storage, height)
        first = base - span[0] * words * plane
        grid = Grid(
            base_row=first, plane_rows=plane, slice_rows=words * plane, byte_rows=byte,
            pitch=pitch, height=height, together=role == "source" and bool(stripe.apart),
        )  # fmt: skip
        return grid, touched
    count = span[1] - span[0]
    if storage.name in plan.ported:
        plane = plan.plane_rows(storage, count)
        grid = Grid(base_row=base, plane_rows=plane, pitch=pitch, first=span[0], height=count)
        return grid, touched
    grid = Grid(
        base_row=base, plane_rows=pitch // plan.config.pixels, byte_rows=byte,
        pitch=words * pitch, first=span[0], height=count,
    )  # fmt: skip
    return grid, touched


def grown_grid(plan: Plan, value: str, grid: Grid, span: Span) -> tuple[Grid, list[Rows]]:
    """Return where the rows of a growing map lie that are there, and those that are read."""
    storage = plan.storage(value)
    begin, end = plan.rows_of_plane(storage, span)
    planes = [grid.base_row + w * grid.plane_rows for w in range(plan.words(storage))]
    there = replace(grid, height=span[1])
    return there, [(plane + begin, plane + end) for plane in planes]


def planes_of(plan: Plan, value: str, span: Span) -> tuple[Rows, ...]:
    """Return the rows, of each word's plane, in which these rows of a map on chip lie."""
    storage = plan.storage(value)
    plane, base = plan.plane_rows(storage, storage.size[1]), plan.rows[storage.name]
    begin, end = plan.rows_of_plane(storage, span)
    return tuple(
        (base + word * plane + begin, base + word * plane + end)
        for word in range(plan.words(storage))
    )
