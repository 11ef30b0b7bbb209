"""Accuracy of pretrained networks, float against compressed, sample by sample.

    python benchmarks/accuracy.py --models squeezenet,resnet20 --method compensated --json
    python benchmarks/accuracy.py --models squeezenet --seeds 8

Networks and data are the project's shared models, in ``shared/models`` beside the repository or
where TF2_SHARED_MODELS says; what is not there, or needs a framework that is not installed, is
skipped and named. Calibration and evaluation samples never overlap. With ``--seeds`` each network
is compressed several times, with other random views and positions: a single draw says little where
few samples are evaluated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import pretrained
from pretrained import Data, Task
from tf2.data import Samples
from tf2.engines import Session
from tf2.errors import DataError, ImportModelError, MissingExtraError
from tf2.flow import compress
from tf2.importers import load_model
from tf2.model_file import CompressionSettings

MODELS = Path(__file__).resolve().parents[1].parent / "shared" / "models"

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One network, float and compressed.

    Attributes:
        measure: What counts as right.
        samples: N of the evaluation.
        float_right: Share of samples that the float network gets right.
        int_right: Share that the compressed network gets right.
        points: Their difference in points of a hundred; negative is a loss.
        standard_error: Of ``points``, from the differences sample by sample.
        agreement: Share of samples that both answer alike.
        seconds: Of compression, wall clock.
        seed: Of the calibration.
    """

    model: str
    measure: str
    calibration: int
    samples: int
    float_right: float
    int_right: float
    points: float
    standard_error: float
    agreement: float
    seconds: float
    seed: int


Tell = Callable[[str, float], None]


def figures(task: Task, folder: Path, settings: CompressionSettings, tell: Tell) -> Figures:
    """Compress one network, once for each part of its data, and evaluate both."""
    source = task.source(folder / task.folder)
    graph = load_model(source.model, weights=source.weights, input_shapes=source.input_shapes).graph
    seconds = 0.0
    parts: list[dict[str, Any]] = []
    for data in task.data(folder):
        start = time.perf_counter()
        compressed = compress(
            graph,
            data.calibration,
            preprocessing=data.preprocessing,
            settings=settings,
            crops=data.views,
            progress=tell,
        )
        seconds += time.perf_counter() - start
        parts.append(_answers(task, data, {"float": graph, "int": compressed}, tell))
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    right = {engine: task.right(whole[engine], whole["truth"]) for engine in ("float", "int")}
    agreement = task.right(whole["int"], whole["float"])
    difference = right["int"].astype(float) - right["float"]
    return Figures(
        model=task.name,
        measure=task.measure,
        calibration=len(data.calibration) * (1 + data.views),
        samples=len(difference),
        float_right=round(float(right["float"].mean()), 4),
        int_right=round(float(right["int"].mean()), 4),
        points=round(100 * float(difference.mean()), 2),
        standard_error=round(100 * float(difference.std(ddof=1)) / math.sqrt(len(difference)), 2),
        agreement=round(float(agreement.mean()), 4),
        seconds=round(seconds, 1),
        seed=settings.seed,
    )


def _answers(task: Task, data: Data, models: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Return the answers of each model on the evaluation samples, and the truth."""
    answers: dict[str, Any] = {"truth": data.truth}
    for engine, model in models.items():
        scores = _outputs(Session(model, engine), data.evaluation, lambda s, e=engine: tell(e, s))
        answers[engine] = task.answers(scores)
    return answers


def _outputs(
    session: Session, samples: Samples, tell: Callable[[float], None]
) -> NDArray[np.float32]:
    """Return the first output of every sample."""
    size = BATCH if session.graph.batch_is_free else 1
    parts = []
    for batch in samples.batches(size):
        parts.append(session.run(None, batch.feed(session.graph.inputs))[0])
        tell(min(1.0, len(parts) * size / len(samples)))
    return np.concatenate(parts)


def table(results: Sequence[Figures]) -> Table:
    """Return the results as a table."""
    drawn = Table(
        "model", "seed", "N", "float", "int", "points", "+-", "agree", "right is", "calib.", "s"
    )
    for r in results:
        numbers = (f"{100 * r.float_right:.2f}", f"{100 * r.int_right:.2f}", f"{r.points:+.2f}")
        rest = (f"{r.standard_error:.2f}", f"{100 * r.agreement:.1f}", r.measure)
        costs = (str(r.calibration), f"{r.seconds:.0f}")
        drawn.add_row(r.model, str(r.seed), str(r.samples), *numbers, *rest, *costs)
    return drawn


def over_draws(results: Sequence[Figures]) -> list[str]:
    """Return, for each network compressed more than once, mean and range over the draws."""
    lines = []
    for model in dict.fromkeys(r.model for r in results):
        points = np.array([r.points for r in results if r.model == model])
        agreement = np.array([100 * r.agreement for r in results if r.model == model])
        if len(points) > 1:
            error = points.std(ddof=1) / math.sqrt(len(points))
            lines.append(
                f"{model}: {len(points)} draws, mean {points.mean():+.2f} points (standard error "
                f"over draws {error:.2f}), {points.min():+.2f} to {points.max():+.2f}; same answer "
                f"{agreement.mean():.1f} % ({agreement.min():.1f} to {agreement.max():.1f})"
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = ",".join(pretrained.TASKS)
    parser.add_argument("--models", default=names, help=f"by commas: {names}")
    parser.add_argument("--method", choices=("compensated", "nearest"), default="compensated")
    parser.add_argument("--settings", default="{}", help='more settings: {"seed": 1}')
    parser.add_argument("--seeds", type=int, default=1, help="draws of each, from the seed on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("TF2_SHARED_MODELS", MODELS))
    chosen = {"method": arguments.method, **json.loads(arguments.settings)}
    settings = CompressionSettings(**chosen)
    results: list[Figures] = []
    skipped: dict[str, str] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in arguments.models.split(","):
            bar = progress.add_task(name, total=1.0)

            def tell(stage: str, share: float, name: str = name, bar=bar) -> None:
                progress.update(bar, description=f"{name}: {stage}", completed=share)

            try:
                for seed in range(settings.seed, settings.seed + arguments.seeds):
                    drawn = settings.model_copy(update={"seed": seed})
                    results.append(figures(pretrained.TASKS[name], folder, drawn, tell))
            except (DataError, ImportModelError, MissingExtraError, FileNotFoundError) as error:
                skipped[name] = str(error)
            progress.remove_task(bar)
    if arguments.json:
        found = {"settings": chosen, "results": [asdict(r) for r in results], "skipped": skipped}
        print(json.dumps(found, indent=2))
    else:
        Console().print(table(results))
        for line in over_draws(results):
            print(line)
        for name, reason in skipped.items():
            print(f"{name} skipped: {reason}")
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
