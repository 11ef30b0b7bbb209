"""The recipes that come with TF2 are valid, and wrong ones are said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf2.errors import PruningError
from tf2.pruning.recipe import PruningRecipe

RECIPES = sorted(Path(__file__).resolve().parents[2].glob("recipes/prune-*.json"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_read(path):
    recipe = PruningRecipe.load(path)
    assert recipe.training.epochs_of_steps == (recipe.training.epochs,)
    assert "channel" not in path.stem or recipe.pruning.method == "channel"


def test_there_are_recipes():
    assert len(RECIPES) >= 3


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{}}", "JSON"),
        ('{"pruning": {"goal": 1}}', "pruning.goal"),
        ('{"pruning": {"target": 2}}', "pruning.target"),
        ('{"pruning": {"method": "random", "measure": "cycles"}}', "save no cycles"),
        ('{"training": {"lr": -1}}', "training.lr"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(text, part, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(PruningError, match=part):
        PruningRecipe.load(path)
    with pytest.raises(PruningError, match="cannot be read"):
        PruningRecipe.load(tmp_path / "absent.json")
