"""Bitstreams of overlays by `tf2.flow.build`: area, clock and frames a second, as a table.

    python benchmarks/bitstreams.py --target ecp5-25k --overlay smallest
    python benchmarks/bitstreams.py --target ecp5-85k --model squeezenet.tf2 --grade 6 --grade 8

A full ECP5-85F takes about an hour of one core with native tools, its first grade twice as long as
the next: the netlist is kept. What was finished is not made again, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tf2 import flow
from tf2.arch import OverlayConfig
from tf2.errors import Tf2Error
from tf2.flow import BuildReport

SMALLEST = OverlayConfig(
    name="smallest", outputs=2, pixels=1, inputs=4, feature_rows=1024, filter_words=64,
    post_pixels=1, pool_groups=16, ddr_bytes=4,
)  # fmt: skip
"""Every unit of an overlay in as little as it takes: a real bitstream in a few minutes."""

COLUMNS = ("overlay", "lanes", "part", "LUT4", "FF", "EBR", "DSP", "LUT4/lane", "Fmax (seed: MHz)",
           "G/s", "cycles", "frames/s", "minutes")  # fmt: skip


def main() -> int:
    """Build what the arguments name; print a line of a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--target", help="part")
    parser.add_argument("--board")
    parser.add_argument(
        "--overlay", help="'smallest', a name or FILE.json; else sized for the model"
    )
    parser.add_argument("--model", type=Path, help="a .tf2 file")
    parser.add_argument("--grade", action="append", help="again for each")
    parser.add_argument("--clock", type=float, help="MHz that must be met; else as fast as it gets")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--output", type=Path, default=Path("bitstreams"))
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS), flush=True)
    failed = 0
    for grade in options.grade or [None]:
        started = time.monotonic()
        try:
            report = flow.build(
                options.model, target=options.target, board=options.board, grade=grade,
                overlay=SMALLEST if options.overlay == "smallest" else options.overlay,
                clock_mhz=options.clock, seeds=options.seeds, progress=_Stages(started),
                output=options.output / f"{options.board or options.target}-{grade or 'slowest'}",
            )  # fmt: skip
        except Tf2Error as error:
            failed += 1
            print(f"grade {grade}: {error}", file=sys.stderr)
            continue
        print(_line(report, (time.monotonic() - started) / 60), flush=True)
        print(f"  {report.critical_path}\n  {', '.join(report.tools)}", file=sys.stderr)
        for note in report.notes:
            print(f"  {note}", file=sys.stderr)
    return 1 if failed else 0


def _line(report: BuildReport, minutes: float) -> str:
    used = {
        name: f"{count:,} ({100 * count / of:.0f} %)" for name, (count, of) in report.used.items()
    }
    seeds = ", ".join(f"{seed}: {fmax:.1f}" for seed, fmax in report.seeds.items())
    cells = [
        f"{report.overlay.outputs}x{report.overlay.pixels}x{report.overlay.inputs}",
        f"{report.lanes}", f"{report.board or report.part}-{report.grade}",
        *(used[name] for name in ("LUT4", "FF", "EBR", "DSP")),
        f"{report.used['LUT4'][0] / report.lanes:.1f}",
        f"{report.fmax_mhz:.1f} ({seeds})",
        f"{report.lane_rate:.1f}",
        "-" if report.cycles is None else f"{report.cycles:,}",
        "-" if report.frames_per_second is None else f"{report.frames_per_second:.1f}",
        f"{minutes:.0f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


class _Stages:
    """Prints each stage with the time at which it began."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._last = ""

    def __call__(self, text: str, share: float) -> None:
        stage = text.partition(":")[0]
        if stage != self._last:
            at = (time.monotonic() - self._started) / 60
            print(f"{at:6.1f} min  {text}", file=sys.stderr, flush=True)
        self._last = stage


if __name__ == "__main__":
    sys.exit(main())
