"""The recipes for training that come with TF2 are valid settings, and each trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_loop import trainer

from tf2.training.settings import TrainingSettings

FOLDER = Path(__file__).resolve().parents[2] / "recipes"
RECIPES = sorted(set(FOLDER.glob("*.json")) - set(FOLDER.glob("prune-*.json")))


def test_there_are_recipes():
    assert "inq-original-imagenet" in [path.stem for path in RECIPES]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains_to_the_end_of_its_schedule(path):
    settings = TrainingSettings.load(path)
    short = settings.changed(epochs=1, batch=64, amp="off")
    done = trainer(short)
    done.run()
    assert [row["share"] for row in done.history] == list(settings.schedule)
    assert all(layer.share == 1.0 for layer in done.inq.layers)
