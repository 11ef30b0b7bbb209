"""A compressed model beside its float original: answers, size, speed, and whether it is exact."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import tf2
from tf2.execution import interpret
from tf2.ir import Feature

TOP = 3
ROUNDS = 20
Feeds = Mapping[str, np.ndarray]


def show(console: Console, path: Path, photographs: Sequence[Path]) -> None:
    """Print the answers of both engines for each photograph, speeds, and an exactness check."""
    integers = tf2.Session(path, "int", threads=1)  # one: a busy machine would slow two unevenly
    floats = tf2.Session(path, "float", threads=1)
    console.print("\nFloat and 4 bits, on photographs the compression has not seen:\n")
    console.print(_answers(integers, floats, photographs))
    feeds = integers.preprocess(photographs[:1])
    with console.status("timing both engines"):
        float_ms, int_ms = _milliseconds(
            lambda: floats.run(None, feeds), lambda: integers.run(None, feeds)
        )
    console.print(
        f"\nspeed  one image, one core: float32 {float_ms:.1f} ms, 4-bit {int_ms:.1f} ms "
        f"({float_ms / int_ms:.1f} times faster)",
        soft_wrap=True,
    )
    with console.status("golden arithmetic"):
        different, total = _differing_bytes(integers, feeds)
    console.print(
        f"exact  engine against golden arithmetic on {photographs[0].name}: {different} of "
        f"{total:,} bytes of features differ",
        soft_wrap=True,
    )
    if different:
        raise SystemExit("the engine is not exact: please report this")


def _answers(integers: tf2.Session, floats: tf2.Session, photographs: Sequence[Path]) -> Table:
    """Return the classes that the float model finds best, and what each gives them."""
    table = Table(box=None, pad_edge=False)
    for column in ("photograph", "class"):
        table.add_column(column, no_wrap=True)
    for column in ("float32", "4-bit"):
        table.add_column(column, justify="right")
    labels = integers.labels
    assert labels is not None  # given at compression
    by_float, by_int = (session.run_images(photographs)[0] for session in (floats, integers))
    for photograph, before, after in zip(photographs, by_float, by_int, strict=True):
        best = [int(i) for i in np.argsort(-before, kind="stable")[:TOP]]
        best += [i for i in (int(after.argmax()),) if i not in best]
        for row, index in enumerate(best):
            marks = ["*" if scores.argmax() == index else " " for scores in (before, after)]
            table.add_row(
                photograph.name if row == 0 else "",
                labels[index],
                f"{100 * before[index]:.1f} %{marks[0]}",
                f"{100 * after[index]:.1f} %{marks[1]}",
            )
    return table


def _milliseconds(*runs: Callable[[], object]) -> list[float]:
    """Return the median time of each, taken in turns so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, measured in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            measured.append(1000 * (time.perf_counter() - start))
    return [statistics.median(measured[2:]) for measured in times]  # the first ones warm up


def _differing_bytes(session: tf2.Session, feeds: Feeds) -> tuple[int, int]:
    """Return how many bytes of all features differ from NumPy's integers, and how many there are.

    NumPy's integers (`tf2.numerics`) are what the FPGA is built after.
    """
    graph = session.graph
    names = [
        output
        for node in graph.nodes
        for output in node.outputs
        if output and isinstance(graph.types[output].dtype, Feature)
    ]
    engine, golden = session.values(feeds, names), interpret(graph, feeds, names)
    different = sum(int(np.count_nonzero(engine[name] != golden[name])) for name in names)
    return different, sum(golden[name].size for name in names)
