"""Arguments and options that several subcommands share, and their parsing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tf2.errors import ModelFileError

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.tf2", help="A compressed model.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="int|float|functional|rtl|board",
        help="What runs the model; functional and rtl simulate an overlay.",
    ),
]
SourceModel = Annotated[
    str | None,
    typer.Option("--source", metavar="MODEL", help="The float model, where it has moved."),
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 takes all.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Samples at a time.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every random choice.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out samples that cannot be read.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="Weights of a Caffe net or of a PyTorch function."
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="[NAME=]1,3,224,224",
        help="Shape of an input, batch first; again for each input.",
    ),
]
OutputName = Annotated[
    list[str] | None,
    typer.Option("--output", metavar="NAME", help="Value to return, instead of the model's own."),
]


def parse_shapes(texts: Sequence[str] | None) -> Mapping[str, list[int]] | list[list[int]] | None:
    """Return shapes by name if all are named, in order if none is; wrong ones are wrong usage."""
    if not texts:
        return None
    pairs = [(text.rpartition("=")[0], _sizes(text)) for text in texts]
    named = [name for name, _ in pairs if name]
    if not named:
        return [sizes for _, sizes in pairs]
    if len(named) < len(pairs):
        raise typer.BadParameter("name all inputs or none", param_hint="--input-shape")
    if len(set(named)) < len(named):
        raise typer.BadParameter("an input is named twice", param_hint="--input-shape")
    return dict(pairs)


def _sizes(text: str) -> list[int]:
    parts = text.rpartition("=")[2].replace("x", ",").split(",")
    try:
        sizes = [int(part) for part in parts]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise typer.BadParameter(
            f"{text!r} is no shape: write sizes from 1 on, as 1,3,224,224 or data=1,3,224,224",
            param_hint="--input-shape",
        )
    return sizes


def checked_output(path: Path) -> Path:
    """Return a path that can be written, as far as can be told before the work is done.

    Raises:
        ModelFileError: Its folder does not exist or cannot be written, or it is a folder itself.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ModelFileError(f"{path} cannot be written: there is no folder {folder}")
    if path.is_dir():
        raise ModelFileError(f"{path} cannot be written: it is a folder")
    if not os.access(folder, os.W_OK):
        raise ModelFileError(f"{path} cannot be written: no permission to write into {folder}")
    return path
