"""What the user sees: text and tables on stdout, or one JSON object; progress on stderr.

Rich and JSON are imported where they are used, so that ``tf2 --help`` need not wait.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

Progress = Callable[[str, float], None]

PIPE_WIDTH = 400
"""Columns of tables that go to a file or another program: nothing is cut."""


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers JSON does not have are "Infinity", "-Infinity" and "NaN"."""
    import json

    typer.echo(json.dumps(plain(content), indent=2, allow_nan=False, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Return a value in what JSON has, records as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if (dump := getattr(value, "model_dump", None)) is not None:
        return plain(dump())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, Path) else value


def print_lines(*lines: str) -> None:
    """Print lines of text."""
    for line in lines:
        typer.echo(line)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print ``name  value`` lines, the values aligned."""
    width = max(map(len, facts), default=0)
    print_lines(*(f"{name:<{width}}  {value}".rstrip() for name, value in facts.items()))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print a table; columns named in ``right`` are aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else PIPE_WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: names may hold [brackets]
    if terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    print_lines(*(line.rstrip() for line in capture.get().splitlines()))


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Give a function that shows what is done and how much of it; None where nobody watches."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def show(stage: str, share: float) -> None:
            bar.update(task, description=stage, completed=share)

        yield show


def number(value: float | None, digits: int = 2) -> str:
    """Return a figure for a table: ``12.34``, ``exact`` for infinity, ``-`` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "exact" if value > 0 else "-inf"
    return f"{value:.{digits}f}"


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
