"""``tf2 compare``: the compressed model against the float model, value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import number, print_json, print_lines, print_table, progress_bar
from tf2.cli.options import Engine, Json, ModelFile, Seed, SourceModel, Threads

if TYPE_CHECKING:
    from tf2.evaluation import Comparison

EPILOG = """\b
Examples:
  tf2 compare squeezenet.tf2 --data photos/
  tf2 compare squeezenet.tf2 --data photos/ --samples 32 --limit 15
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
    source: SourceModel = None,
    threads: Threads = 0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Print how far each value is from the float model's, and the first that diverges."""
    from tf2 import flow

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
