"""``tf2 import``: what a model is, whether it was understood, and where it would run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import print_facts, print_json, print_lines, print_table
from tf2.cli.options import InputShape, Json, OutputName, Seed, Weights, parse_shapes

if TYPE_CHECKING:
    from tf2.flow import Check, ImportReport
    from tf2.ir import Graph

EPILOG = """\b
Examples:
  tf2 import squeezenet.onnx
  tf2 import deploy.prototxt --weights squeezenet.caffemodel
  tf2 import resnet.py:resnet20 --weights resnet20.pth --input-shape 1,3,32,32
"""


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Model file, SavedModel folder, or package.module:function."
        ),
    ],
    weights: Weights = None,
    input_shape: InputShape = None,
    output: OutputName = None,
    show: Annotated[bool, typer.Option("--print", help="Print the imported graph.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare with the source's own runtime.")
    ] = True,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Read a model and report: inputs, operators, correctness, and where each node would run."""
    from tf2 import flow
    from tf2.ir import to_text

    report = flow.inspect_model(
        model,
        weights=weights,
        input_shapes=parse_shapes(input_shape),
        outputs=output or None,
        check=check,
        seed=seed,
    )
    if json:
        print_json(_as_json(report, show))
    elif show:
        print_lines(to_text(report.graph))
    else:
        _print(report)


def support_table(support) -> None:
    """Print where each node runs, and why."""
    rows = [
        [row.node, row.op, f"fused into {row.layer}" if row.layer else row.place, row.reason]
        for row in support
    ]
    print_table(["node", "operator", "runs", "because"], rows)


def _values(graph: Graph, names: tuple[str, ...]) -> str:
    texts = [f"{name} {graph.types[name]}" for name in names]
    return ", ".join(texts) + (" (batch free)" if graph.batch_is_free else "")


def _print(report: ImportReport) -> None:
    graph = report.graph
    print_facts(
        {
            "model": f"{report.source.name} ({report.source.format})",
            "files": ", ".join(file.path for file in report.source.files) or report.source.model,
            "inputs": _values(graph, graph.inputs),
            "outputs": _values(graph, graph.outputs),
            "operators": ", ".join(f"{count} {op}" for op, count in report.operators.items()),
            "parameters": f"{report.parameters:,}" + _precision_text(report.precision),
            "MACs": f"{report.macs / 1e6:,.1f} M a sample",
            "check": _check_text(report.check),
        }
    )
    places = Counter(row.place for row in report.support)
    print_lines("", "Where each node runs: " + ", ".join(f"{n} {p}" for p, n in places.items()), "")
    support_table(report.support)


def _precision_text(precision: str) -> str:
    return "" if precision == "float32" else f" in {precision}; float32 is used from here on"


def _check_text(check: Check | None) -> str:
    if check is None:
        return "not asked for"
    if check.difference is None:
        return f"not compared with {check.runtime}: {' '.join(check.reason.split())}"
    return (
        f"largest difference to {check.runtime}: {check.difference.absolute:.2g} "
        f"(relative {check.difference.relative:.1g})"
    )


def _as_json(report: ImportReport, show: bool) -> dict[str, object]:
    from tf2.ir import to_text

    graph = report.graph
    content: dict[str, object] = {
        "source": report.source,
        "inputs": {name: str(graph.types[name]) for name in graph.inputs},
        "outputs": {name: str(graph.types[name]) for name in graph.outputs},
        "batch_is_free": graph.batch_is_free,
        "operators": report.operators,
        "parameters": report.parameters,
        "precision": report.precision,
        "macs": report.macs,
        "check": None if report.check is None else _check_json(report.check),
        "support": report.support,
    }
    return content | ({"text": to_text(graph)} if show else {})


def _check_json(check: Check) -> dict[str, object]:
    found = check.difference
    return {
        "runtime": check.runtime,
        "reason": check.reason,
        "largest_difference": None if found is None else found.absolute,
        "relative": None if found is None else found.relative,
    }
