"""``tf2 prune``: a trained model and labelled samples -> a smaller or sparser float model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli import training
from tf2.cli.console import number, print_facts, print_json, print_lines, print_table
from tf2.cli.options import (
    InputShape,
    Json,
    OutputName,
    Seed,
    Weights,
    checked_output,
    parse_shapes,
)

if TYPE_CHECKING:
    from tf2.flow.pruned import Figures, Pruned
    from tf2.pruning.recipe import PruningRecipe

EPILOG = """\b
Examples:
  tf2 prune net.onnx --target flops=0.5 --train train/ --data val/ --preprocess torch-imagenet
  tf2 prune net.onnx --target cycles=0.6 --overlay ecp5-85k --train train/ ... -o small.onnx
  tf2 prune net.onnx --method random --target params=0.4 --train train/ ... -o sparse.onnx
  tf2 compress small.onnx --method inq --train train/ --data val/ ...   (then, to 4 bits)
"""

MEASURES = ("flops", "params", "cycles")


class Method(StrEnum):
    """What is taken away."""

    CHANNEL = "channel"
    MAGNITUDE = "magnitude"
    RANDOM = "random"


class Importance(StrEnum):
    """How channels are compared."""

    TAYLOR = "taylor"
    MAGNITUDE = "magnitude"
    RANDOM = "random"


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Model file, SavedModel folder, or package.module:function."
        ),
    ],
    train: Annotated[
        str,
        typer.Option(
            metavar="DIR|ZIP|FILE|module:function",
            help="Labelled samples, or what makes a torch dataset.",
        ),
    ],
    method: Annotated[
        Method | None, typer.Option(help="Whole channels, or single weights. [channel]")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="flops|params|cycles=SHARE", help="What is left of it, as 0.5 or 50%."
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.json",
            help="Whose cycles are counted, and whose widths channels keep to.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR|ZIP|FILE", help="Labelled samples to measure accuracy on."),
    ] = None,
    data_labels: Annotated[
        str | None,
        typer.Option(metavar="FILE.csv", help="Their labels; default: by each image's folder."),
    ] = None,
    weights: Weights = None,
    input_shape: InputShape = None,
    output_name: OutputName = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.json", help="From an image to the model's input; a preset or a file."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names, one a line.")
    ] = None,
    prune_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs in which weights or channels are taken away, by and by."),
    ] = None,
    prune_samples: Annotated[
        int | None, typer.Option(min=0, help="Samples that channels are chosen on; 0: all.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Layer to leave whole.")
    ] = None,
    round_to: Annotated[
        int | None,
        typer.Option(min=1, help="Channels stay a multiple of it; default: the overlay's, or 8."),
    ] = None,
    importance: Annotated[
        Importance | None, typer.Option(help="How channels are compared. [taylor]")
    ] = None,
    recover: Annotated[
        bool | None,
        typer.Option("--recover/--greedy", help="Channels taken away may come back. [recover]"),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT.onnx", help="File to write.")
    ] = None,
    json: Json = False,
    train_labels: training.TrainLabels = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Pruning and training; options go before it."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of training afterwards.")
    ] = None,
    lr: training.Rate = None,
    batch: training.BatchSize = None,
    distill: training.Distill = None,
    augment: training.Augmentation = None,
    loss: training.LossFunction = None,
    workers: training.Workers = 0,
    device: training.Device = "auto",
    threads: training.Threads = 0,
    checkpoint: training.CheckpointFile = None,
    resume: training.Resume = False,
    log: training.Log = None,
) -> None:
    """Take channels out of a float model, or make weights zero, and train what is left."""
    result = checked_output(out or default_output(model))
    shapes = parse_shapes(input_shape)
    measure, share = parsed_target(target) if target is not None else (None, None)
    from tf2 import flow

    base = _recipe(recipe)
    how = base.model_copy(
        update={
            "pruning": base.pruning.changed(
                **_given(
                    method=method.value if method else None,
                    measure=measure,
                    target=share,
                    epochs=prune_epochs,
                    samples=prune_samples,
                    keep=tuple(keep) if keep else None,
                    round_to=round_to,
                    importance=importance.value if importance else None,
                    recover=recover,
                    seed=seed or None,
                )
            ),
            "training": base.training.changed(
                **_given(
                    schedule=(1.0,) if epochs else None,
                    epochs=epochs,
                    lr=lr,
                    batch=batch,
                    distill=distill,
                    augment=augment.value if augment else None,
                    seed=seed or None,
                )
            ),
        }
    )
    state = checkpoint or result.with_name(f"{result.name}.checkpoint")
    with training.epochs_shown(log) as shown:
        pruned = flow.prune(
            model,
            train,
            recipe=how,
            overlay=overlay,
            labels=train_labels,
            validation=data,
            validation_labels=data_labels,
            loss=loss,
            weights=weights,
            input_shapes=shapes,
            outputs=output_name or None,
            preprocessing=preprocess,
            class_names=labels,
            checkpoint=checked_output(state),
            resume=resume,
            workers=workers,
            device=device,
            threads=threads,
            epochs=shown,
        )
    if pruned is None:  # not the leading process
        return
    pruned.save(result)
    for stage in ("", "-channels", "-smaller"):
        state.with_name(state.name + stage).unlink(missing_ok=True)
    if json:
        print_json({"file": str(result), **pruned.report()})
    else:
        _print(pruned, result)


def parsed_target(text: str) -> tuple[str, float]:
    """Return (measure, share) of ``flops=0.5`` or ``flops=50%``; anything else is wrong usage."""
    measure, _, value = text.partition("=")
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if measure not in MEASURES or not 0 < share < 1:
        raise typer.BadParameter(
            f"{text!r} is no target: write {', '.join(MEASURES[:-1])} or {MEASURES[-1]} and what "
            "is left of it, as flops=0.5 or flops=50%",
            param_hint="--target",
        )
    return measure, share


def default_output(model: str) -> Path:
    """Return the file in the present folder that the pruned model is written to."""
    _, colon, function = model.rpartition(":")
    name = function if colon and "." not in function and "/" not in function else Path(model).stem
    return Path(f"{name}.pruned.onnx")


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _recipe(path: Path | None) -> PruningRecipe:
    from tf2.pruning.recipe import PruningRecipe

    return PruningRecipe() if path is None else PruningRecipe.load(path)


def _print(pruned: Pruned, target: Path) -> None:
    before, after = pruned.before, pruned.after
    rows = [row for row in _rows(before, after, pruned.overlay) if row[1] != "-"]
    print_table(["", "before", "after", "left"], rows, right=["before", "after", "left"])
    changed = {name: pair for name, pair in pruned.widths.items() if pair[0] != pair[1]}
    gone = [name for name, (_, now) in changed.items() if now == (0, 0)]
    narrower = [
        f"{name} {was[1]} -> {now[1]}"
        for name, (was, now) in changed.items()
        if was[1] != now[1] and now != (0, 0)
    ]
    facts = {"narrower": ", ".join(narrower), "gone": ", ".join(gone)}
    print_lines("")
    print_facts({k: v for k, v in facts.items() if v} | {"time": f"{pruned.seconds:.1f} s"})
    print_lines("", f"wrote {target}")


def _rows(before: Figures, after: Figures, overlay: str) -> list[tuple[str, str, str, str]]:
    def row(name: str, was: float | None, now: float | None) -> tuple[str, str, str, str]:
        if was is None or now is None:
            return name, "-", "-", "-"
        return name, f"{was:,.0f}", f"{now:,.0f}", f"{100 * now / max(was, 1):.1f} %"

    top1 = "top-1", _percent(before.top1), _percent(after.top1), ""
    return [
        row("multiply-accumulates", before.flops, after.flops),
        row("weights and biases", before.params, after.params),
        row(f"cycles on {overlay}", before.cycles, after.cycles),
        ("zero weights", f"{before.zeros:,}", f"{after.zeros:,}", ""),
        top1,
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{number(100 * share)} %"
