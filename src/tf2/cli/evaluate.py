"""``tf2 eval``: how often a classifier is right, alone or beside the float model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import print_json, print_lines, print_table, progress_bar
from tf2.cli.options import (
    Batch,
    Engine,
    Json,
    Seed,
    SkipBad,
    SourceModel,
    Threads,
)

if TYPE_CHECKING:
    from tf2.evaluation import Accuracy

EPILOG = """\b
Examples:
  tf2 eval squeezenet.tf2 --data val/ --labels val.csv
  tf2 eval squeezenet.tf2 --data val.zip --labels val.csv --against float
  tf2 eval resnet20.tf2 --data test.zip --samples 1000 --json
"""


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tf2", help="A compressed model.")],
    data: Annotated[
        str, typer.Option(metavar="DIR|ZIP|FILE", help="Labelled samples: images or arrays.")
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv",
            help="Columns file,class_index; or FILE.npz:KEY. Default: by each image's folder.",
        ),
    ] = None,
    engine: Engine = "int",
    against: Annotated[
        str | None, typer.Option(metavar="ENGINE", help="Engine to compare with: float.")
    ] = None,
    source: SourceModel = None,
    batch: Batch = 16,
    threads: Threads = 0,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples to draw.")] = None,
    seed: Seed = 0,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Print top-1, top-5 and images a second; with --against, both engines sample by sample."""
    from tf2 import flow
    from tf2.evaluation import PairedAccuracy

    with progress_bar() as progress:
        result = flow.evaluate(
            model,
            data,
            labels=labels,
            engine=engine,
            against=against,
            source=source,
            batch=batch,
            threads=threads,
            samples=samples,
            seed=seed,
            skip_bad=skip_bad,
            progress=progress,
        )
    if not isinstance(result, PairedAccuracy):
        if json:
            print_json({"model": str(model), "engines": {engine: result}})
        else:
            _print_columns({engine: result})
        return
    assert against is not None  # else there is no pair
    engines = {engine: result.first, f"{against}": result.second}
    if json:
        pair = {key: getattr(result, key) for key in ("points", "standard_error", "agreement")}
        print_json({"model": str(model), "engines": engines, "difference": pair})
        return
    _print_columns(engines)
    print_lines(
        "",
        f"top-1 {engine} - {against}: {result.points:+.2f} points "
        f"(standard error {result.standard_error:.2f}); "
        f"same class for {100 * result.agreement:.1f} % of the samples",
    )


def _print_columns(engines: dict[str, Accuracy]) -> None:
    figures = list(engines.values())
    rows = [
        ["top-1", *(f"{100 * a.top1:.2f} %" for a in figures)],
        ["top-5", *(f"{100 * a.top5:.2f} %" for a in figures)],
        ["samples", *(str(a.samples) for a in figures)],
        ["ties", *(str(a.ties) for a in figures)],
        ["images/s", *(f"{a.images_per_second:.1f}" for a in figures)],
    ]
    print_table(["", *engines], rows, right=tuple(engines))
