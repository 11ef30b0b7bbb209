"""FPGA parts as data: what each holds, and which tools it can be built with."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from tf2.errors import ConfigError

Family = Literal["ecp5", "xcup", "intel"]
"""Parts of one family map logic alike: "ecp5", UltraScale+ ("xcup"), Intel's ALM ("intel")."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """An FPGA, or a card's FPGA.

    Attributes:
        name: As `--target` takes it.
        family: Which mapping its resources are counted by.
        device: Ordering code; without package and grade where those are chosen.
        luts: LUT4 (ecp5), LUT6 (xcup) or ALM (intel).
        lut_kind: What `luts` counts.
        flip_flops: Registers.
        block_rams: Blocks of `block_ram_bits`.
        block_ram_bits: Of one block, parity bits included.
        block_ram_width: Widest port of a block that has one port to read and one to write.
        ultra_rams: Blocks of 288 kbit, UltraScale+ only.
        dsps: Multiplier blocks.
        dsp_kind: What `dsps` counts.
        grades: Speed grades, slowest first; empty where `device` says it.
        packages: As nextpnr names them, the default first; empty where `device` says it.
        ddr_bytes: Of memory a cycle that its boards have: the width of an overlay's port.
        nextpnr: Options that name the part to nextpnr-ecp5; empty where it cannot place and route.
    """

    name: str
    family: Family
    device: str
    luts: int
    lut_kind: Literal["LUT4", "LUT6", "ALM"]
    flip_flops: int
    block_rams: int
    block_ram_bits: int
    block_ram_width: int
    dsps: int
    dsp_kind: str
    ultra_rams: int = 0
    grades: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    ddr_bytes: int = 8
    nextpnr: str = ""

    @property
    def open_tools(self) -> bool:
        """Whether yosys and nextpnr make its bitstream; else a vendor's tool must."""
        return bool(self.nextpnr)

    def speed(self, grade: int | str | None) -> str:
        """Return the speed grade to build for; None takes the slowest.

        Raises:
            ConfigError: The part has no such grade.
        """
        if grade is None and self.grades:
            return self.grades[0]
        if str(grade) not in self.grades:
            raise ConfigError(
                f"{self.name} has no speed grade {grade}; it has {', '.join(self.grades) or 'none'}"
            )
        return str(grade)


def _ecp5(
    name: str, device: str, *, luts: int, block_rams: int, dsps: int,
    packages: tuple[str, ...], grades: tuple[str, ...] = ("6", "7", "8"), nextpnr: str,
) -> Part:  # fmt: skip
    return Part(
        name=name, family="ecp5", device=device, luts=luts, lut_kind="LUT4", flip_flops=luts,
        block_rams=block_rams, block_ram_bits=18 * 1024, block_ram_width=36, dsps=dsps,
        dsp_kind="MULT18X18D", grades=grades, packages=packages, nextpnr=nextpnr,
    )  # fmt: skip


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        # Ref: what nextpnr-ecp5 counts of each (TRELLIS_COMB, DP16KD, MULT18X18D); Lattice
        # FPGA-DS-02012 "ECP5 and ECP5-5G Family" rounds the LUTs.
        _ecp5("ecp5-25k", "LFE5U-25F", luts=24_288, block_rams=56, dsps=28, nextpnr="--25k",
              packages=("CABGA381", "CABGA256", "CSFBGA285")),
        _ecp5("ecp5-45k", "LFE5U-45F", luts=43_848, block_rams=108, dsps=72, nextpnr="--45k",
              packages=("CABGA381", "CABGA256", "CSFBGA285", "CABGA554")),
        _ecp5("ecp5-85k", "LFE5U-85F", luts=83_640, block_rams=208, dsps=156, nextpnr="--85k",
              packages=("CABGA381", "CSFBGA285", "CABGA554", "CABGA756")),
        _ecp5("ecp5-um5g-85k", "LFE5UM5G-85F", luts=83_640, block_rams=208, dsps=156,
              nextpnr="--um5g-85k", grades=("8",), packages=("CABGA554", "CABGA381", "CABGA756")),
        # Ref: Intel 683461 "Arria 10 Core Fabric and General Purpose I/Os Handbook", table of DSP
        # blocks; ALMs, registers and M20K as Intel 683434 has them for the GT 1150, the same die.
        # The original's board, the Inspur F10A, is of this class: two banks of DDR4.
        Part(name="arria10-gx1150", family="intel", device="10AX115N2F40E2LG", luts=427_200,
             lut_kind="ALM", flip_flops=1_708_800, block_rams=2_713, block_ram_bits=20 * 1024,
             block_ram_width=40, dsps=1_518, dsp_kind="DSP (two 18x19)", ddr_bytes=128),
        # Ref: Intel Agilex 7 F-series product table, AGF 014; ALMs, M20K and DSP blocks agree with
        # what users quote from Quartus' reports for AGFB014R24B. Four registers an ALM.
        Part(name="agilex-agf014", family="intel", device="AGFB014R24B2E2V", luts=487_200,
             lut_kind="ALM", flip_flops=1_948_800, block_rams=7_110, block_ram_bits=20 * 1024,
             block_ram_width=40, dsps=4_510, dsp_kind="DSP (two 18x19)", ddr_bytes=64),
        # Ref: AMD DS987 "Kria K26 SOM Data Sheet" (the FPGA is a Zynq UltraScale+ ZU5EV). Two
        # registers a LUT. Block RAM as blocks of 36 kbit, each also two of 18.
        Part(name="kv260", family="xcup", device="xck26-sfvc784-2LV-c", luts=117_120,
             lut_kind="LUT6", flip_flops=234_240, block_rams=144, block_ram_bits=36 * 1024,
             block_ram_width=72, ultra_rams=64, dsps=1_248, dsp_kind="DSP48E2", ddr_bytes=16),
        # Ref: AMD DS962 "Alveo U200 and U250": the whole XCU250 (a VU13P); the shell that comes
        # with the card takes its share of it.
        Part(name="alveo-u250", family="xcup", device="xcu250-figd2104-2L-e", luts=1_728_000,
             lut_kind="LUT6", flip_flops=3_456_000, block_rams=2_688, block_ram_bits=36 * 1024,
             block_ram_width=72, ultra_rams=1_280, dsps=12_288, dsp_kind="DSP48E2",
             ddr_bytes=64),
    )
}  # fmt: skip
"""The parts, by name."""


def part_of(name: str) -> Part:
    """Return the part of that name.

    Raises:
        ConfigError: There is none; says which there are, and which comes near.
    """
    if name in PARTS:
        return PARTS[name]
    near = difflib.get_close_matches(name, PARTS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigError(f"there is no part {name!r}{hint}; there are {', '.join(PARTS)}")
