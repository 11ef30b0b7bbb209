"""Fit the resource model to synthesis: ``python benchmarks/resource_fit.py``.

Synthesises the overlays of `resource_samples` unit by unit with yosys, for every family; writes
what was measured and the factors fitted to it beside `tf2.resources`, and prints the error on the
overlays that were held back. Units that have not changed since the last run come from
``build/unit-synthesis``; ``--cached`` synthesises nothing and takes what is there. ``--fit-only``
makes the factors from the measurements as they are. The fit wants scipy.

A unit that few samples show is not fitted anew: its factors so far are scaled to those samples.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import resource_samples
import unit_synthesis
from tf2.arch import OverlayConfig
from tf2.gateware.verilog import generate
from tf2.model_file.atomic import atomic_write
from tf2.platforms import Family
from tf2.resources import memories
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
        # ALMs: two functions of up to five inputs, eight together, or two bits of a sum, share one.
        # A PE of 3 x 16 lanes is 1,188 by these weights, 1,190 as `lane_area` pairs its functions.
        **{f"MISTRAL_ALUT{n}": 0.5 for n in (2, 3, 4, 5)}, "MISTRAL_ALUT_ARITH": 0.5,
        "MISTRAL_ALUT6": 1,
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

MIN_SAMPLES = 5
"""With fewer, a unit's size grows as it did so far, times one factor."""

SINGLE_BITS = ("register_copy",)
"""Units of one flip-flop, a score of them in an overlay: not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--samples", default="", help="comma-separated; others stay as they are")
    parser.add_argument("--cached", action="store_true", help="units synthesised before, only")
    parser.add_argument("--fit-only", action="store_true")
    arguments = parser.parse_args()
    content = json.loads(MEASUREMENTS.read_text()) if MEASUREMENTS.exists() else {}
    if not arguments.fit_only:
        names = [name for name in arguments.samples.split(",") if name]
        synthesis = unit_synthesis.Synthesis(only_cached=arguments.cached)
        content = measure(synthesis, content, arguments.families.split(","), names)
    _write(COEFFICIENTS, fit(content))
    show(content)


def measure(
    synthesis: unit_synthesis.Synthesis, content: dict[str, Any], families: list[str],
    names: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Return the measurements with those of the named samples (all by default) made anew."""
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
        if name not in SINGLE_BITS:
            found[name.rpartition(".")[2]] = [count, *figures]
    return found


def fit(content: dict[str, Any]) -> dict[str, Any]:
    """Return the factors, fitted to the samples that are not held back; none is negative."""
    so_far: dict[str, Any] = coefficients()["families"]
    fitted: dict[str, Any] = {}
    for family, samples in content["families"].items():
        rows = {
            OverlayConfig(**content["configs"][name]): units
            for name, units in samples.items()
            if name not in {held.name for held in resource_samples.HELD_BACK}
        }
        _check_names(rows)
        fitted[family] = {
            unit.name: _fit_unit(unit, rows, family, so_far[family].get(unit.name))
            for unit in UNITS
        }
    return {key: content[key] for key in ("tool", "command", "gateware")} | {"families": fitted}


def _fit_unit(
    unit: Unit, rows: dict[OverlayConfig, dict[str, list[float]]], family: Family,
    so_far: dict[str, dict[str, float]] | None,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return the factors of a unit's terms by metric, from the samples that show the unit."""
    measured = {config: units[unit.name] for config, units in rows.items() if unit.name in units}
    for config, (count, *_) in measured.items():
        if count != unit.count(config):
            raise SystemExit(f"{unit.name}: {count} in {config.name}, not {unit.count(config)}")
    if not measured:
        return so_far or {metric: {} for metric in METRICS}
    found: dict[str, dict[str, float]] = {}
    for metric in METRICS:
        wanted = {c: _logic(unit.name, metric, c, row, family) for c, row in measured.items()}
        if so_far is None or len(measured) >= MIN_SAMPLES:
            found[metric] = _least_squares(unit, wanted)
        else:
            found[metric] = _in_proportion(unit, wanted, so_far[metric])
    return found


def _logic(
    unit: str, metric: str, config: OverlayConfig, row: list[float], family: Family
) -> float:
    """Return what was measured of one unit, without LUTs that are memory."""
    count, *figures = row
    value = figures[FIGURES.index(metric)]
    return value - _memory_luts(unit, config, family) / count if metric == "luts" else value


def _least_squares(unit: Unit, wanted: dict[OverlayConfig, float]) -> dict[str, float]:
    """Return the factors with the least squares of the relative errors."""
    weights = np.array([1 / max(abs(value), 20.0) for value in wanted.values()])
    terms = np.array([[TERMS[term](config) for term in unit.terms] for config in wanted], float)
    from scipy.optimize import nnls  # for the fit alone: tests compare without it

    factors, _ = nnls(weights[:, None] * terms, weights * np.array(list(wanted.values())))
    return {t: float(f"{f:.5g}") for t, f in zip(unit.terms, factors, strict=True) if f > 1e-6}


def _in_proportion(
    unit: Unit, wanted: dict[OverlayConfig, float], so_far: dict[str, float]
) -> dict[str, float]:
    """Return the factors so far, all of them times what suits the few samples best."""
    measured = fitted = 0.0
    for config, value in wanted.items():
        before = sum(factor * TERMS[term](config) for term, factor in so_far.items())
        weight = 1 / max(abs(value), 20.0)
        measured += weight * weight * value * before
        fitted += weight * weight * before * before
    if not fitted:
        return _least_squares(unit, wanted)
    return {t: float(f"{f * max(0.0, measured) / fitted:.5g}") for t, f in so_far.items()}


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


def show(content: dict[str, Any]) -> None:
    """Print of each overlay what was measured, and what the model says of the same units."""
    coefficients.cache_clear()
    held = {config.name for config in resource_samples.HELD_BACK}
    print(f"{'overlay':<18}{'family':<7}units" + "".join(f"{m:>30}" for m in METRICS))
    for family, samples in content["families"].items():
        for name, units in samples.items():
            config = OverlayConfig(**content["configs"][name])
            line = f"{name + ('*' if name in held else ''):<18}{family:<7}{len(units):>5}"
            for metric in METRICS:
                measured, model = compared(config, family, units, metric)
                error = 100 * (model - measured) / measured if measured else 0.0
                line += f"{f'{measured:,.0f}  {model:,.0f}  {error:+.1f} %':>30}"
            print(line)


def compared(
    config: OverlayConfig, family: Family, units: Mapping[str, list[float]], metric: str
) -> tuple[float, float]:
    """Return a metric of the measured units of an overlay, and what the model says of them.

    LUTs without those that are memory: their count is exact.
    """
    model = estimate_resources(config, family).units
    measured = sum(
        row[0] * _logic(name, metric, config, row, family) for name, row in units.items()
    )
    return measured, sum(getattr(unit, metric) for unit in model if unit.name in units)


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
