"""``tf2 run``: a model on images or arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli.console import number, print_json, print_lines, print_table, progress_bar
from tf2.cli.options import (
    Batch,
    Engine,
    Json,
    ModelFile,
    SourceModel,
    Threads,
    checked_output,
)
from tf2.cli.overlay_table import Overlay

if TYPE_CHECKING:
    import numpy as np

    from tf2.data import Samples
    from tf2.engines import Session

EPILOG = """\b
Examples:
  tf2 run squeezenet.tf2 cat.jpg dog.jpg
  tf2 run squeezenet.tf2 photos/ --top 1 --json
  tf2 run net.tf2 inputs.npy -o outputs.npz
  tf2 run squeezenet.tf2 cat.jpg --engine rtl --overlay ecp5-85k
  tf2 run squeezenet.tf2 cat.jpg --engine board --board squeezenet-board
"""


def command(
    model: ModelFile,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Images, folders of them, or one .npy or .npz."),
    ],
    engine: Engine = "int",
    overlay: Overlay = "ecp5-85k",
    board: Annotated[
        Path | None,
        typer.Option(
            "--board", metavar="DIR", help="For engine board: what tf2 build --board made."
        ),
    ] = None,
    port: Annotated[
        str | None, typer.Option("--port", help="The board's serial port, where there are several.")
    ] = None,
    source: SourceModel = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 5,
    batch: Batch = 16,
    threads: Threads = 0,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT.npz", help="Save all outputs as arrays."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a model on images (prints the best classes) or on arrays (prints or saves outputs)."""
    arrays = [text for text in inputs if is_array(text)]
    if arrays and len(inputs) > 1:
        raise typer.BadParameter(
            "give images, or one array file and nothing else", param_hint="INPUT"
        )
    target = None if out is None else checked_output(out)
    from tf2 import flow
    from tf2.engines import Session

    with progress_bar() as progress:
        session = Session(
            model,
            engine,
            threads=threads,
            source=source,
            overlay=flow.overlay_config(overlay),
            board=board,
            port=port,
            progress=progress,
        )
        samples = _samples(session, inputs, is_arrays=bool(arrays))
        outputs = flow.run_samples(session, samples, batch=batch, progress=progress)
    if target is not None:
        _save(outputs, target)
    content: dict[str, object] = {"model": str(model), "engine": engine}
    if not arrays and flow.is_classifier(session):
        found = flow.predictions(session, outputs[session.graph.outputs[0]], top=top)
        rows = zip(samples.names, found, strict=True)
        content["results"] = [{"input": name, "top": best} for name, best in rows]
    else:
        content["samples"] = len(samples)
        content["outputs"] = [_summary(name, array) for name, array in outputs.items()]
    content["saved"] = None if target is None else str(target)
    if json:
        print_json(content)
    else:
        _print(content)


def is_array(text: str) -> bool:
    """Return whether an input is an array file (``x.npz:KEY`` too)."""
    lower = text.lower()
    return lower.endswith((".npy", ".npz")) or ".npz:" in lower


def _samples(session: Session, inputs: list[str], *, is_arrays: bool) -> Samples:
    from tf2.data import find_images
    from tf2.data.images import is_zip
    from tf2.flow import open_samples

    if is_arrays:
        return open_samples(inputs[0], session.preprocessing, session.graph)
    files: list[str] = []
    for text in inputs:
        files += find_images(text) if Path(text).is_dir() or is_zip(text) else [text]
    return session.open_images(files)


def _save(outputs: dict[str, np.ndarray], target: Path) -> None:
    import numpy as np

    from tf2.model_file import atomic_write

    with atomic_write(target) as file:
        np.savez(file, **outputs)  # pyright: ignore[reportArgumentType]


def _summary(name: str, array: np.ndarray) -> dict[str, object]:
    is_number = array.dtype.kind in "biuf" and array.size > 0
    return {
        "name": name,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "min": float(array.min()) if is_number else None,
        "mean": float(array.mean()) if is_number else None,
        "max": float(array.max()) if is_number else None,
    }


def _print(content: dict) -> None:
    for result in content.get("results", ()):
        print_lines(result["input"])
        rows = [[f"{p.score:.4f}", str(p.index), p.name or ""] for p in result["top"]]
        print_lines(*(f"  {score:>8}  {index:>4}  {name}".rstrip() for score, index, name in rows))
    if "outputs" in content:
        columns = ["output", "dtype", "shape", "min", "mean", "max"]
        rows = [
            [o["name"], o["dtype"], str(tuple(o["shape"]))]
            + [number(o[key], 5) for key in ("min", "mean", "max")]
            for o in content["outputs"]
        ]
        print_table(columns, rows, right=("min", "mean", "max"))
    if content["saved"]:
        print_lines(f"wrote {content['saved']}")
