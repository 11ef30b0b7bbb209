"""The state of a training in one file: atomic, without pickle, refused where it does not belong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tf2.errors import TrainingError
from tf2.model_file.atomic import atomic_write
from tf2.training.settings import TrainingSettings
from tf2.training.start import Start

VERSION = 1


@dataclass(frozen=True)
class Position:
    """Where a training stands: what comes next.

    Attributes:
        step: Of the schedule.
        epoch: Of the step.
        batch: Of the epoch.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What `write_checkpoint` keeps.

    Attributes:
        position: What comes next.
        tensors: By name.
        history: Figures of the epochs done.
        seconds: Trained so far.
    """

    position: Position
    tensors: Mapping[str, Tensor]
    history: list[dict[str, Any]]
    seconds: float


def fingerprint(start: Start, settings: TrainingSettings, samples: int) -> dict[str, str]:
    """Return what a checkpoint must agree in with the training that goes on from it."""
    digest = hashlib.sha256()
    for name, data in sorted(start.float_graph.constants.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(data).tobytes())
    return {
        "model": digest.hexdigest(),
        "settings": settings.model_dump_json(),
        "compression": start.settings.model_dump_json(),
        "samples": str(samples),
    }


def write_checkpoint(path: Path, checkpoint: Checkpoint, belongs_to: Mapping[str, str]) -> None:
    """Write a checkpoint; on failure an older one of that name stays.

    Raises:
        OSError: It cannot be written (a full disk).
    """
    state = {
        "version": VERSION,
        "position": asdict(checkpoint.position),
        "history": checkpoint.history,
        "seconds": checkpoint.seconds,
        "belongs_to": dict(belongs_to),
    }
    tensors = {n: t.detach().cpu().contiguous() for n, t in checkpoint.tensors.items()}
    content = save(tensors, metadata={"tf2": json.dumps(state)})
    with atomic_write(path) as file:
        file.write(content)


def read_checkpoint(path: Path, belongs_to: Mapping[str, str]) -> Checkpoint:
    """Return a checkpoint of this very training.

    Raises:
        TrainingError: The file is damaged, no checkpoint, or of another model, schedule or data
            set; says which.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["tf2"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        found, version = state["belongs_to"], int(state["version"])
        position = Position(**state["position"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is no checkpoint of a training: {error}") from error
    if version > VERSION:
        raise TrainingError(f"{path} is a checkpoint of a newer TF2 (version {version})")
    names = {"model": "model", "settings": "training settings", "samples": "number of samples",
             "compression": "compression settings"}  # fmt: skip
    for key, here in belongs_to.items():
        if found.get(key) != here:
            there, name = found.get(key), names.get(key, key)
            hint = _difference(there, here) if here.startswith("{") else ""
            raise TrainingError(
                f"{path} belongs to another training: its {name} differs{hint}. Remove the file "
                "to begin anew, or continue with what it was made with"
            )
    return Checkpoint(
        position=position,
        tensors=tensors,
        history=list(state["history"]),
        seconds=float(state["seconds"]),
    )


def _difference(there: object, here: str) -> str:
    try:
        before, now = json.loads(str(there)), json.loads(here)
    except ValueError:
        return ""
    keys = [key for key in now if before.get(key) != now[key]]
    return "".join(f" ({key} {before.get(key)} there, {now[key]} now)" for key in keys[:2])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the momentum of each parameter, by its place in the optimizer."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = [optimizer.state.get(p, {}) for p in parameters]
    return {
        f"momentum/{i}": state["momentum_buffer"]
        for i, state in enumerate(states)
        if state.get("momentum_buffer") is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take back what `optimizer_tensors` returned."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, parameter in enumerate(parameters):
        buffer = tensors.get(f"momentum/{i}")
        if buffer is not None:
            optimizer.state[parameter]["momentum_buffer"] = buffer.to(parameter.device).clone()
