"""The units of an overlay: how many of each there are, and what their size depends on.

What a unit takes is a sum of terms, each a product of the overlay's parameters that some part of
it grows with. `coefficients.json` holds the factors, fitted to synthesis by
`benchmarks/resource_fit.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tf2.arch import OverlayConfig

TERMS: dict[str, Callable[[OverlayConfig], float]] = {
    "1": lambda c: 1,
    "N": lambda c: c.outputs,
    "P": lambda c: c.pixels,
    "C": lambda c: c.inputs,
    "S": lambda c: c.post_pixels,
    "D": lambda c: c.ddr_bytes,
    "NP": lambda c: c.outputs * c.pixels,
    "NS": lambda c: c.outputs * c.post_pixels,
    "PC": lambda c: c.pixels * c.inputs,
    "NC": lambda c: c.outputs * c.inputs * c.weight_bits / 4,
    # Multiplexers of P: inputs less one, times words, times width.
    "PP": lambda c: c.pixels * (c.pixels - 1),
    "PPC": lambda c: c.pixels * (c.pixels - 1) * c.inputs,
    "PPN": lambda c: c.pixels * (c.pixels - 1) * c.outputs,
    "pN": lambda c: (c.pixels - 1) * c.outputs,
    # A word's parts of N channels: of C / N, less one.
    "Pparts": lambda c: c.pixels * c.outputs * (c.parts - 1),
    # Sums of P positions taken S at a time.
    "Nsteps": lambda c: c.outputs * (c.pixels - c.post_pixels),
    # Kinds of lanes.
    "C sac": lambda c: c.inputs * (c.lane == "sac"),
    "C mac": lambda c: c.inputs * (c.lane == "mac"),
    "1 sac": lambda c: c.lane == "sac",
    "1 mac": lambda c: c.lane == "mac",
    # Addresses and the output multiplexers of deep memories.
    "log words": lambda c: (c.filter_words - 1).bit_length(),
    "log rows": lambda c: (c.feature_rows - 1).bit_length(),
    "C rows": lambda c: c.inputs * (-(-c.feature_rows // 1024) - 1),
    # Beats of a row: its serializer, its assembler.
    "row beats": lambda c: c.row_beats,
}
"""What sizes grow with, by name."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit of the overlay.

    Attributes:
        name: As in the gateware, without the path.
        count: How many there are.
        terms: What the size of one grows with; names of `TERMS`.
    """

    name: str
    count: Callable[[OverlayConfig], int]
    terms: tuple[str, ...]


def _once(config: OverlayConfig) -> int:
    return 1


_TABLE: tuple[tuple[str, Callable[[OverlayConfig], int], str], ...] = (
    ("dot_product", lambda c: c.outputs * c.pixels, "C sac;C mac;1 sac;1 mac"),
    ("pe", lambda c: c.outputs, "C sac;C mac;P;log words;1"),
    ("pe_array", _once, "N;P;NP;NC;log words;1"),
    ("post_lane", lambda c: c.post_pixels * c.outputs, "1"),
    ("post_slot", lambda c: c.post_pixels, "N;1"),
    ("post_process", _once, "NP;NS;N;Nsteps;1"),
    ("window_max", lambda c: 2 * c.pixels, "N;1"),
    ("pick", lambda c: 2 * c.pixels, "N;pN;1"),
    ("channel_sum", lambda c: c.outputs, "P;1"),
    ("finish", _once, "NP;PPN;PP;P;N;1"),
    ("feature_writer", _once, "NP;PPN;PP;P;1"),
    ("feature_read", _once, "PC;PPC;PP;P;1"),
    ("feature_buffer", _once, "PC;NP;P;1"),
    ("feature_bank", lambda c: c.pixels, "C;C rows;1"),
    ("residual_reader", _once, "NP;PPN;PPC;Pparts;PC;P;1"),
    ("scheduler", _once, "P;log rows;1"),
    ("controller", _once, "D;P;row beats;1"),
    ("filter_loader", _once, "D;NC;N;1"),
    ("feature_loader", _once, "D;PC;row beats;1"),
    ("feature_store", _once, "D;PC;row beats;1"),
    ("reader", _once, "D;1"),
    ("writer", _once, "D;1"),
    ("registers", _once, "1"),
    ("control", _once, "1"),
    ("array", _once, "P;1"),
    ("overlay", _once, "D;P;1"),
)

UNITS: tuple[Unit, ...] = tuple(
    Unit(name=name, count=count, terms=tuple(terms.split(";"))) for name, count, terms in _TABLE
)
"""Every unit; the names are those of the gateware's modules, `resource_fit` checks the counts."""
