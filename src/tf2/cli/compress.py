"""``tf2 compress``: a trained model and some samples -> a ``.tf2`` file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tf2.cli import training
from tf2.cli.console import number, print_facts, print_json, print_lines, progress_bar, size
from tf2.cli.options import (
    InputShape,
    Json,
    OutputName,
    Seed,
    SkipBad,
    Weights,
    checked_output,
    parse_shapes,
)

if TYPE_CHECKING:
    from tf2.model_file import CompressedModel, Manifest

EPILOG = """\b
Examples:
  tf2 compress squeezenet.onnx --calibration photos/ --preprocess torch-imagenet
  tf2 compress deploy.prototxt --calibration set.zip --samples 256 --preprocess caffe-imagenet \\
      --labels classes.txt -o squeezenet.tf2
  tf2 compress net.onnx --calibration inputs.npz:x --keep conv1 --keep fc
  tf2 compress net.onnx --calibration train/ --preprocess torch-imagenet --auto-keep 1 \\
      --data val/ --data-labels val.csv
  tf2 compress net.onnx --method inq --train train.zip --data test.zip --preprocess net.json \\
      --epochs 2 --log net.log            (interrupted: the same with --resume)
  torchrun --nproc-per-node 4 -m tf2 compress net.onnx --method inq --train train/ ...
"""


class Method(StrEnum):
    """How weights are rounded."""

    NEAREST = "nearest"
    COMPENSATED = "compensated"
    INQ = "inq"
    QAT = "qat"


class Features(StrEnum):
    """How the scale of features is chosen."""

    ERROR = "error"
    MAXIMUM = "maximum"


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Model file, SavedModel folder, or package.module:function."
        ),
    ],
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="DIR|ZIP|FILE.npz|FILE.npy",
            help="Samples without labels: images or arrays; 128 to 512 are plenty. Needed unless "
            "--train is given.",
        ),
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
    method: Annotated[Method, typer.Option(help="How weights are rounded.")] = Method.COMPENSATED,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Layer to keep at 8 bits.")
    ] = None,
    auto_keep: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Keep the fewest layers at 8 bits that lose no more top-1; needs --data.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|ZIP|FILE", help="Labelled samples for --auto-keep, or to watch training."
        ),
    ] = None,
    data_labels: Annotated[
        str | None,
        typer.Option(metavar="FILE.csv", help="Their labels; default: by each image's folder."),
    ] = None,
    features: Annotated[
        Features, typer.Option(help="Scale of features: of least error, or for the maximum.")
    ] = Features.ERROR,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="Give every channel of features its own scale.")
    ] = False,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Calibration samples to draw; default all.")
    ] = None,
    crops: Annotated[int, typer.Option(min=0, help="Random views to add for each photograph.")] = 0,
    seed: Seed = 0,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names, one a line, to be stored.")
    ] = None,
    skip_bad: SkipBad = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT.tf2", help="File to write.")
    ] = None,
    json: Json = False,
    train: training.Train = None,
    train_labels: training.TrainLabels = None,
    recipe: training.Recipe = None,
    schedule: training.Schedule = None,
    epochs: training.Epochs = None,
    bits: training.Bits = None,
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
    dry_run: training.DryRun = None,
    log: training.Log = None,
) -> None:
    """Compress a model to 4-bit power-of-two weights and 8-bit features, retrained or not."""
    target = checked_output(out or default_output(model))
    shapes = parse_shapes(input_shape)
    trains = method in (Method.INQ, Method.QAT)
    if trains != (train is not None):
        raise typer.BadParameter("--train goes with --method inq or qat")
    if trains and (auto_keep is not None or crops or skip_bad):
        raise typer.BadParameter("--auto-keep, --crops and --skip-bad do not go with training")
    if not trains and calibration is None:
        raise typer.BadParameter("calibration samples are needed", param_hint="--calibration")
    together = trains or (auto_keep is None) == (data is None)
    if not together or (data_labels and not data):
        raise typer.BadParameter("--auto-keep, --data and --data-labels go together")
    from tf2 import flow
    from tf2.model_file import CompressionSettings

    settings = CompressionSettings(
        method="compensated" if trains else method.value,
        keep=tuple(keep or ()),
        features=features.value,
        per_channel=per_channel,
        seed=seed,
        calibration_samples=samples,
    )
    if trains and train is not None:
        recipe_settings = training.settings_of(
            recipe,
            method=method.value,
            schedule=schedule,
            epochs=epochs,
            bits=bits,
            lr=lr,
            batch=batch,
            distill=distill,
            augment=augment.value if augment else None,
            seed=seed or None,
        )
        state = checkpoint or target.with_name(f"{target.name}.checkpoint")
        with progress_bar() as progress, training.epochs_shown(log) as shown:
            trained = flow.train(
                model,
                train,
                labels=train_labels,
                training=recipe_settings,
                settings=settings,
                calibration=calibration,
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
                dry_run=dry_run,
                progress=progress,
                epochs=shown,
            )
        if trained is not None:  # in the leading process
            _finish(trained, target, json=json)
            state.unlink(missing_ok=True)
        return
    accuracy = None
    if auto_keep is not None and data is not None:
        accuracy = flow.AccuracyTarget(points=auto_keep, data=data, labels=data_labels)
    with progress_bar() as progress:
        assert calibration is not None, "checked above"
        compressed = flow.compress(
            model,
            calibration,
            weights=weights,
            input_shapes=shapes,
            outputs=output_name or None,
            preprocessing=preprocess,
            labels=labels,
            settings=settings,
            target=accuracy,
            crops=crops,
            skip_bad=skip_bad,
            progress=progress,
        )
    _finish(compressed, target, json=json)


def _finish(compressed: CompressedModel, target: Path, *, json: bool) -> None:
    compressed.save(target)
    if json:
        print_json(_as_json(compressed, target))
    else:
        _print(compressed, target)


def default_output(model: str) -> Path:
    """Return the file in the present folder that a model is written to unless told otherwise."""
    code, colon, function = model.rpartition(":")
    name = function if colon and code else Path(model).resolve().stem
    return Path(f"{name}.tf2")


def size_facts(manifest: Manifest, file_bytes: int) -> dict[str, str]:
    """Return what the file weighs beside the float weights."""
    ratio = manifest.float_weight_bytes / file_bytes
    return {
        "size": f"{size(file_bytes)}, {ratio:.1f} times smaller than the float32 weights "
        f"({size(manifest.float_weight_bytes)})"
    }


def layer_facts(manifest: Manifest) -> dict[str, str]:
    """Return how many layers run at how many bits, which are worst, and what runs on the host."""
    layers = manifest.layers
    kept = [layer.name for layer in layers if layer.weights == "int8"]
    exact = sum(layer.exact for layer in layers)
    measured = [row for row in layers if row.output_sqnr_db is not None]
    worst = sorted(measured, key=lambda row: row.output_sqnr_db or 0.0)[:3]
    hosts = [row for row in manifest.support if row.place == "host"]
    facts = {"layers": f"{len(layers) - len(kept)} at 4 bits, {len(kept)} at 8 bits"}
    if kept:
        facts["kept"] = ", ".join(kept)
    if exact:
        facts["exact"] = f"{exact} layers had powers of two already"
    if worst:
        texts = [f"{row.name} {number(row.output_sqnr_db, 1)} dB" for row in worst]
        facts["worst"] = ", ".join(texts)
    if hosts:
        kinds = dict.fromkeys(row.op for row in hosts)
        count = f"{len(hosts)} of {len(manifest.support)} nodes"
        facts["on the host"] = f"{count}: {', '.join(kinds)} (tf2 info --support)"
    return facts


def _print(model: CompressedModel, target: Path) -> None:
    manifest = model.manifest
    facts = {"model": f"{manifest.source.name} ({manifest.source.format})"}
    facts |= layer_facts(manifest) | size_facts(manifest, target.stat().st_size)
    figures = manifest.figures
    if manifest.training is not None:
        facts["training"] = (
            f"{manifest.settings.method}, {figures['training_epochs']:.0f} epochs of "
            f"{figures['training_samples']:.0f} samples"
        )
    facts["calibration"] = f"{figures.get('calibration_samples', 0):.0f} samples"
    if "top1_int" in figures:
        facts["top-1"] = (
            f"{100 * figures['top1_int']:.2f} % as integers, {100 * figures['top1_float']:.2f} % "
            f"in float, on {figures['evaluation_samples']:.0f} samples"
        )
    if manifest.preprocessing is not None:
        facts["images"] = manifest.preprocessing.describe()
    facts["time"] = f"{manifest.seconds:.1f} s"
    print_facts(facts)
    print_lines("", f"wrote {target}")


def _as_json(model: CompressedModel, target: Path) -> dict[str, object]:
    return {
        "file": str(target),
        "file_bytes": target.stat().st_size,
        "manifest": model.manifest.model_dump(mode="json"),
    }
