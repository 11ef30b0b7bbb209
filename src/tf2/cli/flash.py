"""``tf2 flash``: a bitstream into a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tf2.cli.console import print_json, print_lines
from tf2.cli.options import Json

EPILOG = """\b
Examples:
  tf2 flash squeezenet-board/ecpix5-85f.bit --board ecpix5-85f
  tf2 flash squeezenet-board/ulx3s-85f.bit --board ulx3s-85f --persistent
"""


def command(
    bitstream: Annotated[Path, typer.Argument(metavar="FILE.bit", help="From tf2 build --board.")],
    board: Annotated[str, typer.Option("--board", metavar="NAME", help="ulx3s-85f, ecpix5-85f.")],
    persistent: Annotated[
        bool,
        typer.Option("--persistent", help="Into flash memory, from which the board starts."),
    ] = False,
    json: Json = False,
) -> None:
    """Load a bitstream into the board that is plugged in."""
    from tf2.runtime.flash import flash

    flash(bitstream, board, persistent=persistent)
    if json:
        print_json({"bitstream": bitstream, "board": board, "persistent": persistent})
        return
    print_lines(f"{board} runs {bitstream}" + (", and starts from it" if persistent else ""))
