"""How a network is trained: one frozen value, in checkpoints and in `recipes/`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tf2.errors import TrainingError

MAX_FILE_BYTES = 1 << 20


class TrainingSettings(BaseModel):
    """The same settings, data and number of threads give the same weights.

    Attributes:
        method: "inq" freezes weights group by group; "qat" rounds all of them all the time
            (straight-through).
        schedule: Shares of the weights that are on the grid in each step, rising to 1.
        epochs: Of each step; one number for all of them, or one for each.
        order: Which weights are frozen first: the largest, or random ones.
        bits: Of weights: 2, 3 or 4.
        start: "compensated": from error-compensated 4-bit weights; "float": from the float ones;
            "auto": compensated at 4 bits.
        window: Of a float start; see `tf2.training.start.start_of`.
        train_gains: Train the multiplier of each output channel as well.
        int8_features: Round features to bytes in the loop, as the packed network does.
        batch_norm: Of BatchNormalization that could not be folded.
        batch: Samples a step of the optimizer, over all processes.
        lr: Largest learning rate; SGD with Nesterov momentum.
        decay: "cosine": from `lr` to 0 in each step of the schedule; "tenth": a tenth every
            ``decay_epochs``; "constant".
        decay_epochs: See ``decay``.
        warmup: Share of each step's batches in which the rate rises to `lr`.
        clip: Largest norm of a batch's gradient: networks whose normalization is folded into their
            weights diverge easily; 0 for no bound.
        momentum: Of the optimizer.
        weight_decay: Of weights; biases and gains have none.
        distill: Share of the loss that is the distance from the float network's answers, 0..1.
        temperature: Of both networks' scores there.
        augment: "view": random resized crops; "crop": shifted by an eighth of the size; both
            mirrored at random; "flip": only that; "auto": crop for images of up to 64 pixels
            stored at the network's size, else view; "none".
        view_area: Least share of the image that a random view shows.
        amp: "bf16" computes layers in bfloat16, "off" in float32; "auto": bf16 where the
            processor has instructions for it.
        seed: Of every random choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["inq", "qat"] = "inq"
    schedule: tuple[float, ...] = (0.5, 0.75, 0.875, 1.0)
    epochs: tuple[int, ...] | int = 2
    order: Literal["magnitude", "random"] = "magnitude"
    bits: Literal[2, 3, 4] = 4
    start: Literal["auto", "compensated", "float"] = "auto"
    window: Literal["gain", "channel", "layer"] = "gain"
    train_gains: bool = True
    int8_features: bool = True
    batch_norm: Literal["frozen", "train"] = "frozen"
    batch: int = Field(default=128, ge=1)
    lr: float = Field(default=0.004, gt=0)
    decay: Literal["cosine", "tenth", "constant"] = "cosine"
    decay_epochs: int = Field(default=30, ge=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    distill: float = Field(default=0.0, ge=0, le=1)
    temperature: float = Field(default=4.0, gt=0)
    augment: Literal["auto", "none", "flip", "crop", "view"] = "auto"
    view_area: float = Field(default=0.25, gt=0, le=1)
    amp: Literal["auto", "bf16", "off"] = "auto"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _values_fit_each_other(self) -> Self:
        rising = all(a < b for a, b in zip((0.0, *self.schedule), self.schedule, strict=False))
        if not self.schedule or not rising or self.schedule[-1] != 1.0:
            raise ValueError(f"schedule must rise from above 0 to 1, not {self.schedule}")
        epochs = (self.epochs,) if isinstance(self.epochs, int) else self.epochs
        if min(epochs, default=0) < 1:
            raise ValueError(f"epochs must be 1 or more, not {self.epochs}")
        if not isinstance(self.epochs, int) and len(epochs) != len(self.schedule):
            raise ValueError(f"{len(epochs)} numbers of epochs for {len(self.schedule)} steps")
        return self

    @classmethod
    def load(cls, path: str | Path) -> TrainingSettings:
        """Return the settings in a JSON file.

        Raises:
            TrainingError: It cannot be read or holds no settings; says which keys are wrong.
        """
        try:
            if Path(path).stat().st_size > MAX_FILE_BYTES:
                raise TrainingError(f"{path}: larger than {MAX_FILE_BYTES} bytes: no settings")
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            raise TrainingError(f"{path}: {reasons(error)}") from error

    def changed(self, **values: object) -> TrainingSettings:
        """Return the settings with these values, checked.

        Raises:
            TrainingError: They do not fit; says which.
        """
        try:
            return TrainingSettings.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            raise TrainingError(f"training settings: {reasons(error)}") from error

    @property
    def epochs_of_steps(self) -> tuple[int, ...]:
        """The number of epochs of each step of the schedule."""
        if isinstance(self.epochs, int):
            return (self.epochs,) * len(self.schedule)
        return self.epochs

    @property
    def starts_compensated(self) -> bool:
        """Whether training starts from error-compensated weights."""
        return self.start == "compensated" or (self.start == "auto" and self.bits == 4)

    def rate(self, batch: int, batches: int, per_epoch: int) -> float:
        """Return the learning rate of a batch of a step.

        Args:
            batch: 0 is the step's first.
            batches: Of the step.
            per_epoch: Batches.
        """
        import math

        rising = round(self.warmup * batches)
        if batch < rising:
            return self.lr * (batch + 1) / (rising + 1)
        if self.decay == "cosine":
            done = (batch - rising) / max(batches - rising, 1)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        tenths = batch // per_epoch // self.decay_epochs if self.decay == "tenth" else 0
        return self.lr * 0.1**tenths


def reasons(error: ValidationError) -> str:
    """Return what pydantic found, as ``key: reason`` for each wrong key."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in found)
