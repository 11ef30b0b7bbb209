"""``tf2 compare``: against the float model value by value, or two engines bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import number, print_json, print_lines, print_table, progress_bar
from tf2.cli.options import Engine, Json, ModelFile, Seed, SourceModel, Threads
from tf2.cli.overlay_table import Overlay

if TYPE_CHECKING:
    from tf2.evaluation import Comparison, ExactComparison

EPILOG = """\b
Examples:
  tf2 compare squeezenet.tf2 --data photos/
  tf2 compare squeezenet.tf2 --data photos/ --samples 32 --limit 15
  tf2 compare squeezenet.tf2 --data photos/ --engine rtl --against int --samples 1
"""


def command(
    model: ModelFile,
    data: Annotated[
        str, typer.Option(metavar="DIR|ZIP|FILE", help="Samples: images or arrays; no labels.")
    ],
    limit: Annotated[
        float, typer.Option(metavar="DB", help="SQNR below which a value has diverged.")
    ] = 10.0,
    samples: Annotated[int, typer.Option(min=1, help="Samples to draw.")] = 8,
    engine: Engine = "int",
    against: Annotated[
        str, typer.Option("--against", metavar="float|int|functional", help="The reference.")
    ] = "float",
    overlay: Overlay = "ecp5-85k",
    source: SourceModel = None,
    threads: Threads = 0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Print how far each value is from the reference's, and the first that diverges.

    Against "float" values are compared as numbers; two integer engines must agree to the bit, and
    the exit code is 1 where they do not.
    """
    from tf2 import flow

    if against != "float":
        _exactly(model, data, engine, against, overlay, samples=samples, seed=seed, json=json)
        return
    with progress_bar() as progress:
        result = flow.compare(
            model,
            data,
            engine=engine,
            source=source,
            samples=samples,
            seed=seed,
            limit_db=limit,
            threads=threads,
            progress=progress,
        )
    if json:
        print_json(
            {
                "model": str(model),
                "engine": engine,
                "samples": result.samples,
                "limit_db": result.limit_db,
                "first_diverging": result.first_diverging,
                "values": result.values,
            }
        )
        return
    _print(result, engine)


def _exactly(
    model: Path,
    data: str,
    engine: str,
    against: str,
    overlay: str,
    *,
    samples: int,
    seed: int,
    json: bool,
) -> None:
    from tf2 import flow

    with progress_bar() as progress:
        result = flow.compare_exactly(
            model,
            data,
            engine=engine,
            against=against,
            overlay=flow.overlay_config(overlay),
            samples=samples,
            seed=seed,
            progress=progress,
        )
    first = result.first
    if json:
        content = {"model": str(model), "engine": engine, "against": against, "first": first}
        print_json(content | {"compared": result.compared, "differences": result.differences})
    else:
        compared = f"{result.compared:,} elements of {len(result.values)} values"
        verdict = "all the same" if first is None else _verdict(result)
        print_lines(f"{engine} against {against}, {result.samples} samples, {compared}: {verdict}")
    if first is not None:
        raise typer.Exit(1)


def _verdict(result: ExactComparison) -> str:
    first = result.first
    assert first is not None
    return (
        f"{len(result.differences)} values differ, first {first.value} ({first.op} {first.node}): "
        f"element {list(first.index)} of sample {first.sample} is {first.found}, not "
        f"{first.expected}; {first.differing:,} of {first.size:,} elements differ"
    )


def _print(result: Comparison, engine: str) -> None:
    columns = ["value", "operator", "as", "SQNR dB", "cosine", "largest error", "largest value"]
    rows = [
        [
            v.value,
            v.op,
            v.place,
            number(v.sqnr_db, 1),
            number(v.cosine, 5),
            f"{v.largest_error:.4g}",
            f"{v.largest_value:.4g}",
        ]
        for v in result.values
    ]
    print_table(columns, rows, right=columns[3:])
    first = result.first_diverging
    verdict = (
        f"no value is below {result.limit_db:g} dB"
        if first is None
        else f"first below {result.limit_db:g} dB: {first.value} ({first.op} {first.node}), "
        f"{number(first.sqnr_db, 1)} dB"
    )
    print_lines("", f"float against {engine}, {result.samples} samples: {verdict}")
