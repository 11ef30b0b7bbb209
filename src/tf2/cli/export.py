"""``tf2 export``: a compressed model as a standard ONNX file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tf2.cli.console import print_json, print_lines, size
from tf2.cli.options import Json, ModelFile, checked_output

EPILOG = """\b
Examples:
  tf2 export squeezenet.tf2 --onnx squeezenet-int.onnx
  tf2 export squeezenet.tf2 --onnx squeezenet-bytes.onnx --input features
"""


class Inputs(StrEnum):
    """What the exported model is fed."""

    FLOAT = "float"
    FEATURES = "features"


def command(
    model: ModelFile,
    onnx: Annotated[Path, typer.Option("--onnx", metavar="OUT.onnx", help="File to write.")],
    inputs: Annotated[
        Inputs,
        typer.Option("--input", help="What it is fed: the float input, or the array's bytes."),
    ] = Inputs.FLOAT,
    json: Json = False,
) -> None:
    """Write standard ONNX operators that give the same integers in any ONNX runtime."""
    target = checked_output(onnx)
    from tf2 import flow

    written = flow.export_onnx(model, target, inputs=inputs.value)
    if json:
        print_json({"file": str(target), "file_bytes": written, "input": inputs.value})
    else:
        print_lines(f"wrote {target} ({size(written)})")
