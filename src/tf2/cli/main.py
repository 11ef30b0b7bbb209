"""The command ``tf2``: its subcommands, and what becomes of errors.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 130 interrupted. Nothing
heavy is imported here: ``tf2 --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tf2._version import __version__
from tf2.cli import (
    build,
    compare,
    compress,
    devices,
    estimate,
    evaluate,
    export,
    flash,
    import_model,
    info,
    profile,
    prune,
    run,
    search,
)
from tf2.cli.errors import reported

EPILOG = """\b
A first model, from file to answer:
  tf2 import net.onnx
  tf2 compress net.onnx --calibration photos/ --preprocess torch-imagenet -o net.tf2
  tf2 run net.tf2 cat.jpg
"""


class _Group(TyperGroup):
    """Turns every error of a subcommand into a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        with reported(debug=bool(ctx.params.get("debug"))):
            return super().invoke(ctx)


app = typer.Typer(
    name="tf2",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    epilog=EPILOG,
    # Plain help: Rich's takes 0.15 s more to start.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(
    "import",
    short_help="Read a model and say what it is and where it would run.",
    epilog=import_model.EPILOG,
)(import_model.command)
app.command(
    "compress", short_help="Compress a model to 4-bit power-of-two weights.", epilog=compress.EPILOG
)(compress.command)
app.command(
    "prune", short_help="Make a float model smaller or sparser, and train it.", epilog=prune.EPILOG
)(prune.command)
app.command("run", short_help="Run a model on images or arrays.", epilog=run.EPILOG)(run.command)
app.command("eval", short_help="Measure top-1, top-5 and images a second.", epilog=evaluate.EPILOG)(
    evaluate.command
)
app.command("info", short_help="Show what a .tf2 file holds.", epilog=info.EPILOG)(info.command)
app.command(
    "compare",
    short_help="Hold a model against its float original, value by value.",
    epilog=compare.EPILOG,
)(compare.command)
app.command(
    "estimate",
    short_help="Cycles of a network on an overlay, layer by layer.",
    epilog=estimate.EPILOG,
)(estimate.command)
app.command(
    "search",
    short_help="Find the overlay for models, a part and a goal.",
    epilog=search.EPILOG,
)(search.command)
app.command(
    "profile",
    short_help="Simulate a frame in the overlay's RTL and show its counters.",
    epilog=profile.EPILOG,
)(profile.command)
app.command(
    "build", short_help="Make a bitstream: area, clock, frames a second.", epilog=build.EPILOG
)(build.command)
app.command("flash", short_help="Load a bitstream into a board.", epilog=flash.EPILOG)(
    flash.command
)
app.command("devices", short_help="List boards, ports and cables.", epilog=devices.EPILOG)(
    devices.command
)
app.command("export", short_help="Write a model as standard ONNX.", epilog=export.EPILOG)(
    export.command
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tf2 {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from (a traceback).")
    ] = False,
) -> None:
    """Turn a trained network into 4-bit powers of two, run it, and say how good it is.

    TF2 is not TensorFlow 2.
    """


def main() -> None:
    """Run the command line and exit."""
    app()
