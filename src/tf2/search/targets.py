"""Clock and memory that a search reckons with on a part, and where each figure comes from."""

from __future__ import annotations

from dataclasses import dataclass

from tf2.platforms import Part


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a part's overlay is clocked by and talks to.

    Attributes:
        clock_mhz: Of the overlay.
        clock_source: Where that figure comes from.
        ddr_bytes: Bytes that the memory moves in a cycle of that clock, at most.
        ddr_source: Where that figure comes from.
        ddr_share: Of `ddr_bytes` that is reached.
    """

    clock_mhz: float
    clock_source: str
    ddr_bytes: int
    ddr_source: str
    ddr_share: float = 1.0


_ECP5 = Surroundings(
    clock_mhz=80, clock_source="assumed: tf2 build measures it",
    ddr_bytes=8, ddr_source="DDR3 of 16 bits at four times the clock, as on ECPIX-5",
)  # fmt: skip

SURROUNDINGS: dict[str, Surroundings] = {
    "arria10-gx1150": Surroundings(
        clock_mhz=192.5, clock_source="what the original TF2 reached on this part",
        ddr_bytes=128,
        ddr_source="two banks of DDR4 as on the original's board, 72 % of them at 2,133 MT/s",
    ),
    "agilex-agf014": Surroundings(
        clock_mhz=250, clock_source="assumed: Quartus was not run",
        ddr_bytes=64, ddr_source="assumed: one DDR4 channel of 64 bits",
    ),
    "kv260": Surroundings(
        clock_mhz=200, clock_source="assumed: Vivado was not run",
        ddr_bytes=16, ddr_source="one 128-bit port of the processing system (S_AXI_HP0)",
    ),
    "alveo-u250": Surroundings(
        clock_mhz=250, clock_source="assumed: Vivado was not run",
        ddr_bytes=64, ddr_source="one of four DDR4 channels, a 512-bit port",
    ),
}  # fmt: skip


def surroundings(part: Part) -> Surroundings:
    """Return a part's."""
    return SURROUNDINGS.get(part.name, _ECP5)
