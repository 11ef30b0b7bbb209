"""How a network is pruned and trained meanwhile: the two settings of `tf2 prune` in one file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tf2.errors import PruningError
from tf2.pruning.settings import PruningSettings
from tf2.training.settings import TrainingSettings, reasons

MAX_FILE_BYTES = 1 << 20


def _training() -> TrainingSettings:
    return TrainingSettings(schedule=(1.0,), epochs=6, lr=0.02, distill=0.5)


class PruningRecipe(BaseModel):
    """What is taken away, and how the rest is trained.

    Attributes:
        pruning: What is taken away, and how fast.
        training: Of the training while and after that: ``epochs`` count those after it. What
            belongs to grids (method, schedule, bits, ...) has no meaning here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pruning: PruningSettings = PruningSettings()
    training: TrainingSettings = Field(default_factory=_training)

    @classmethod
    def load(cls, path: str | Path) -> PruningRecipe:
        """Return the recipe in a JSON file.

        Raises:
            PruningError: It cannot be read or holds no recipe; says which keys are wrong.
        """
        try:
            if Path(path).stat().st_size > MAX_FILE_BYTES:
                raise PruningError(f"{path}: larger than {MAX_FILE_BYTES} bytes: no recipe")
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise PruningError(f"{path} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            raise PruningError(f"{path}: {reasons(error)}") from error
