"""Fit the resource model to synthesis: ``python benchmarks/resource_fit.py``.

Synthesises the overlays of `resource_samples` unit by unit with yosys, for every family; writes
what was measured and the factors fitted to it beside `tf2.resources`, and prints the error on the
overlays that were held back. Units that have not changed since the last run come from
``build/unit-synthesis``. ``--fit-only`` makes the factors from the measurements as they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

import resource_samples
import unit_synthesis
from tf2.arch import OverlayConfig
from tf2.gateware.verilog import generate
from tf2.model_file.atomic import atomic_write
from tf2.platforms import Family
from tf2.resources import block_rams, memories
from tf2.resources.memory import memory_luts
from tf2.resources.model import METRICS, coefficients, estimate_resources
from tf2.resources.units import TERMS, UNITS, Unit

FAMILIES: dict[Family, str] = {"ecp5": "ecp5", "xcup": "xcup", "intel": "cyclonev"}
"""Families of parts, and what yosys maps to for them."""

DATA = Path(__file__).parent.parent / "src/tf2/resources"
MEASUREMENTS, COEFFICIENTS = DATA / "measurements.json", DATA / "coefficients.json"

WEIGHTS: dict[str, dict[str, float]] = {
    "luts": {
        "LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6,
        **{f"LUT{n}": 1 for n in (1, 2, 3, 5, 6)},
        "RAM32M16": 8, "RAM64M8": 8, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2,
        "RAM128X1D": 4, "RAM256X1D": 8, "SRL16E": 1, "SRLC32E": 1,
        # ALMs: two functions of up to four inputs, or two bits of a sum, share one.
        **{f"MISTRAL_ALUT{n}": 0.5 for n in (2, 3, 4)}, "MISTRAL_ALUT_ARITH": 0.5,
        "MISTRAL_ALUT5": 1, "MISTRAL_ALUT6": 1,
    },
    "flip_flops": dict.fromkeys(("TRELLIS_FF", "FDRE", "FDSE", "FDCE", "FDPE", "MISTRAL_FF"), 1),
    "dsps": {
        "MULT18X18D": 1, "DSP48E2": 1, "MISTRAL_MUL27X27": 1, "MISTRAL_MUL18X18": 0.5,
        "MISTRAL_MUL9X9": 0.5,
    },
    "block_rams": {"DP16KD": 1, "RAMB18E2": 1, "RAMB36E2": 2},
}  # fmt: skip
"""What each cell counts."""

FIGURES = tuple(WEIGHTS)

REFERENCE: Family = "ecp5"
MIN_SAMPLES = 6
"""With fewer, a family's units grow as those of the reference do, by a factor each."""

SINGLE_BITS = ("register_copy",)
"""Units of one flip-flop, a score of them in an overlay: not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--samples", default="", help="comma-separated; others stay as they are")
    parser.add_argument("--fit-only", action="store_true")
    arguments = parser.parse_args()
    content = json.loads(MEASUREMENTS.read_text()) if MEASUREMENTS.exists() else {}
    if not arguments.fit_only:
        names = [name for name in arguments.samples.split(",") if name]
        content = measure(content, arguments.families.split(","), names)
    _write(COEFFICIENTS, fit(content))
    show(content)


def measure(content: dict[str, Any], families: list[str], names: list[str]) -> dict[str, Any]:
    """Return the measurements with those of the named samples (all by default) made anew."""
    synthesis = unit_synthesis.Synthesis()
    for config in (*resource_samples.FITTED, *resource_samples.HELD_BACK):
        if names and config.name not in names:
            continue
        verilog = generate(config)
        for family in families:
            cells = synthesis.cells(verilog, FAMILIES[family])
            content["tool"] = synthesis.version
            content["command"] = "python benchmarks/resource_fit.py"
            content["gateware"] = _gateware()
            content.setdefault("configs", {})[config.name] = asdict(config)
            found = content.setdefault("families", {}).setdefault(family, {})
            found[config.name] = by_unit(cells, family)
            _write(MEASUREMENTS, content)
    return content


def by_unit(cells: Mapping[str, tuple[int, Counter[str]]], family: str) -> dict[str, list[float]]:
    """Return of each unit, by its name without a path: count, and figures as `WEIGHTS` of one."""
    found: dict[str, list[float]] = {}
    for name, (count, own) in sorted(cells.items()):
        figures = [
            sum(weight * own[cell] for cell, weight in weights.items())
            for weights in WEIGHTS.values()
        ]
        if any(figures) and name not in SINGLE_BITS:
            found[name.rpartition(".")[2]] = [count, *figures]
    return found


def fit(content: dict[str, Any]) -> dict[str, Any]:
    """Return the factors, fitted to the samples that are not held back; none is negative."""
    fitted: dict[str, Any] = {}
    for family, samples in content["families"].items():
        rows = {
            OverlayConfig(**content["configs"][name]): units
            for name, units in samples.items()
            if name not in {held.name for held in resource_samples.HELD_BACK}
        }
        _check_names(rows)
        reference = fitted.get(REFERENCE) if len(rows) < MIN_SAMPLES else None
        fitted[family] = {
            unit.name: {
                metric: _fit_unit(unit, metric, rows, family)
                if reference is None
                else _in_proportion(unit, metric, rows, family, reference[unit.name][metric])
                for metric in METRICS
            }
            for unit in UNITS
            if any(unit.name in units for units in rows.values())
        }
    return {key: content[key] for key in ("tool", "command", "gateware")} | {"families": fitted}


def _fit_unit(
    unit: Unit, metric: str, rows: dict[OverlayConfig, dict[str, list[float]]], family: Family
) -> dict[str, float]:
    """Return the factors of a unit's terms: least squares of the relative errors."""
    matrix, wanted = [], []
    for config, units in rows.items():
        count, *figures = units.get(unit.name, [unit.count(config), *([0.0] * len(FIGURES))])
        if count != unit.count(config):
            raise SystemExit(f"{unit.name}: {count} in {config.name}, not {unit.count(config)}")
        value = figures[FIGURES.index(metric)]
        if metric == "luts":
            value -= _memory_luts(unit.name, config, family) / count
        weight = 1 / max(abs(value), 20.0)
        matrix.append([weight * TERMS[term](config) for term in unit.terms])
        wanted.append(weight * value)
    factors, _ = nnls(np.array(matrix, float), np.array(wanted))
    return {t: float(f"{f:.5g}") for t, f in zip(unit.terms, factors, strict=True) if f > 1e-6}


def _in_proportion(
    unit: Unit, metric: str, rows: dict[OverlayConfig, dict[str, list[float]]], family: Family,
    reference: dict[str, float],
) -> dict[str, float]:  # fmt: skip
    """Return the factors of another family, all of them times what suits the few samples best."""
    measured = fitted = 0.0
    for config, units in rows.items():
        count, *figures = units.get(unit.name, [unit.count(config), *([0.0] * len(FIGURES))])
        value = figures[FIGURES.index(metric)]
        if metric == "luts":
            value -= _memory_luts(unit.name, config, family) / count
        other = sum(factor * TERMS[term](config) for term, factor in reference.items())
        weight = 1 / max(abs(value), 20.0)
        measured += weight * weight * value * other
        fitted += weight * weight * other * other
    if not fitted:
        return _fit_unit(unit, metric, rows, family)
    return {t: float(f"{f * max(0.0, measured) / fitted:.5g}") for t, f in reference.items()}


def _memory_luts(unit: str, config: OverlayConfig, family: Family) -> int:
    """Return the LUTs of a unit's memories, which the model adds; none in yosys' Intel."""
    if family == "intel":
        return 0
    return sum(memory_luts(memory, family) for memory in memories(config) if memory.unit == unit)


def _check_names(rows: dict[OverlayConfig, dict[str, list[float]]]) -> None:
    known = {unit.name for unit in UNITS}
    strange = {name for units in rows.values() for name in units} - known
    if strange:
        raise SystemExit(f"no row in tf2.resources.units for {', '.join(sorted(strange))}")


def totals(units: dict[str, list[float]]) -> dict[str, float]:
    """Return the figures of a whole overlay as measured."""
    return {
        figure: sum(row[0] * row[i] for row in units.values())
        for i, figure in enumerate(FIGURES, start=1)
    }


def show(content: dict[str, Any]) -> None:
    """Print what was measured, and what the model says, overlay by overlay."""
    coefficients.cache_clear()
    held = {config.name for config in resource_samples.HELD_BACK}
    print(
        f"{'overlay':<18}{'family':<7}" + "".join(f"{f'{m} measured, model':>32}" for m in FIGURES)
    )
    for family, samples in content["families"].items():
        for name, units in samples.items():
            model_config = OverlayConfig(**content["configs"][name])
            model = estimate_resources(model_config, family)
            if family == "intel":  # whose small memories yosys does not map to MLABs
                in_luts = sum(memory_luts(memory, family) for memory in model.memories)
                model = replace(model, luts=model.luts - in_luts)
            model_figures = {
                **{metric: getattr(model, metric) for metric in METRICS},
                "block_rams": block_rams(model_config, family),
            }
            line = f"{name + ('*' if name in held else ''):<18}{family:<7}"
            for figure, value in totals(units).items():
                got = model_figures[figure]
                error = 100 * (got - value) / value if value else 0.0
                line += f"{f'{value:,.0f}  {got:,.0f}  {error:+.1f} %':>32}"
            print(line)


def _gateware() -> str:
    """Return the commit that made the Verilog."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=True, cwd=DATA,
    )  # fmt: skip
    return found.stdout.strip()


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(_text(content).encode())


def _text(content: Any, depth: int = 0) -> str:
    """Return JSON with a line for each unit or overlay, not one for each number."""
    if depth == 4 or not isinstance(content, dict):
        return json.dumps(content)
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key)}: {_text(value, depth + 1)}"
        for key, value in content.items()
    )
    return "{\n" + inner + "\n" + " " * depth + "}" + ("" if depth else "\n")


if __name__ == "__main__":
    main()
