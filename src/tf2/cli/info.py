"""``tf2 info``: what a ``.tf2`` file says about its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.compress import layer_facts, size_facts
from tf2.cli.console import number, print_facts, print_json, print_lines, print_table
from tf2.cli.import_model import support_table
from tf2.cli.options import Json, ModelFile
from tf2.cli.overlay_table import Overlay

if TYPE_CHECKING:
    from tf2.model_file import Manifest

EPILOG = """\b
Examples:
  tf2 info squeezenet.tf2
  tf2 info squeezenet.tf2 --layers --support
  tf2 info squeezenet.tf2 --program --overlay ecp5-85k
  tf2 info squeezenet.tf2 --json
"""


def command(
    model: ModelFile,
    layers: Annotated[bool, typer.Option("--layers", help="A row for each layer.")] = False,
    support: Annotated[
        bool, typer.Option("--support", help="Where each node of the source runs, and why.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="The integer graph as text.")] = False,
    program: Annotated[
        bool, typer.Option("--program", help="The program for --overlay, disassembled.")
    ] = False,
    overlay: Overlay = "ecp5-85k",
    json: Json = False,
) -> None:
    """Print what a compressed model is, how it was made, and what is known about it."""
    from tf2.ir import to_text
    from tf2.model_file import read_manifest, read_model

    graph_text = to_text(read_model(model).graph) if text else None
    programs = _programs(model, overlay) if program else None
    manifest = read_manifest(model)
    if json:
        content: dict[str, object] = {"file": str(model), "file_bytes": model.stat().st_size}
        content |= {"manifest": manifest.model_dump(mode="json")}
        content |= {"text": graph_text} if text else {}
        print_json(content | ({"programs": programs} if program else {}))
        return
    if not (layers or support or text or program):
        print_facts(_facts(manifest, model))
    if layers:
        _print_layers(manifest)
    if support:
        support_table(manifest.support)
    if graph_text is not None:
        print_lines(graph_text)
    for listing in programs or ():
        print_lines(listing)


def _programs(model: Path, overlay: str) -> list[str]:
    """Return the array's programs as text, in the order in which they run."""
    from tf2 import flow
    from tf2.isa.text import disassemble

    compiled = flow.compile_model(model, flow.overlay_config(overlay))
    return [disassemble(segment.program, details=True) for segment in compiled.arrays]


def _facts(manifest: Manifest, model: Path) -> dict[str, str]:
    source, settings = manifest.source, manifest.settings
    facts = {
        "file": f"{model}, format {manifest.format_version}, by TF2 {manifest.tool_version}",
        "model": f"{source.name} ({source.format}), from {source.model}",
        "inputs": ", ".join(f"{i.name} {i.dtype}{list(i.shape)}" for i in manifest.inputs),
        "outputs": ", ".join(f"{o.name} {o.dtype}{list(o.shape)}" for o in manifest.outputs),
        "method": f"{settings.method}, features by {settings.features}, seed {settings.seed}",
    }
    facts |= layer_facts(manifest) | size_facts(manifest, model.stat().st_size)
    if manifest.preprocessing is not None:
        facts["images"] = manifest.preprocessing.describe()
    if manifest.labels is not None:
        facts["classes"] = f"{len(manifest.labels)} names"
    facts |= {key.replace("_", " "): f"{value:g}" for key, value in manifest.figures.items()}
    return facts


def _print_layers(manifest: Manifest) -> None:
    columns = [
        "layer",
        "weights",
        "shape",
        "weights dB",
        "output dB",
        "zeros",
        "saturated",
        "exact",
    ]
    rows = [
        [
            row.name,
            row.weights,
            "x".join(map(str, row.shape)),
            number(row.weight_sqnr_db, 1),
            number(row.output_sqnr_db, 1),
            f"{100 * row.zeros:.1f} %",
            f"{100 * row.saturated:.2f} %",
            "yes" if row.exact else "",
        ]
        for row in manifest.layers
    ]
    print_table(columns, rows, right=("weights dB", "output dB", "zeros", "saturated"))
