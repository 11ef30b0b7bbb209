"""``tf2 compress --method inq``: from labelled images to a file, interrupted and resumed."""

from __future__ import annotations

import json
import os

import pytest

from tf2.data.images import image_names
from tf2.model_file import read_model

pytest.importorskip("torch")

INQ = (
    "compress", "colors.onnx", "--method", "inq", "--train", "photos", "--preprocess", "unit-rgb",
    "--schedule", "50,100", "--epochs", "1", "--batch", "8", "--lr", "0.01", "-o", "out.tf2",
)  # fmt: skip


def test_a_network_is_retrained_and_packed(tf2, work):
    code, out, error = tf2(
        *INQ, "--data", "photos", "--labels", "names.txt", "--log", "log", "--distill", "0.5"
    )
    assert code == 0, error
    assert "inq, 2 epochs of 36 samples" in out
    assert "step 2/2 (100 %), epoch 1/1, batch 4/4, loss" in error
    assert "0:00 left" in error
    rows = [json.loads(line) for line in (work / "log").read_text().splitlines()]
    assert [(row["step"], row["share"]) for row in rows] == [(1, 0.5), (2, 1.0)]
    assert rows[-1]["top1"] == 1.0
    model = read_model("out.tf2")
    assert model.manifest.settings.method == "inq"
    assert model.manifest.training is not None
    assert model.manifest.training["schedule"] == [0.5, 1.0]
    assert model.manifest.figures["top1_int"] == 1.0
    assert all(layer.exact for layer in model.manifest.layers)
    assert not os.path.exists("out.tf2.checkpoint")


def test_a_recipe_and_labels_from_a_file_and_options_before_the_recipe(tf2, work):
    recipe = {"schedule": [1.0], "epochs": 1, "batch": 16, "augment": "flip", "lr": 0.5}
    (work / "recipe.json").write_text(json.dumps(recipe))
    code, out, error = tf2(
        "compress", "colors.onnx", "--method", "qat", "--train", "photos", "--preprocess",
        "unit-rgb", "--train-labels", "labels.csv", "--recipe", "recipe.json", "--lr", "0.001",
        "--calibration", "photos", "-o", "out.tf2", "--json",
    )  # fmt: skip
    assert code == 0, error
    training = json.loads(out)["manifest"]["training"]
    assert (training["lr"], training["batch"], training["method"]) == (0.001, 16, "qat")


def test_data_and_loss_of_the_user(tf2, work):
    (work / "mine.py").write_text(
        "import torch\n"
        "def data():\n"
        "    x = torch.rand(16, 3, 12, 12)\n"
        "    return [(a, int(a.mean((1, 2)).argmax())) for a in x]\n"
        "def loss(outputs, targets):\n"
        "    return torch.nn.functional.nll_loss(outputs.flatten(1).log(), targets)\n"
    )
    given = ("--method", "inq", "--train", "mine.py:data", "--loss", "mine.py:loss")
    rest = ("--schedule", "100", "--epochs", "1", "--batch", "8", "-o", "out.tf2")
    preprocess = ("--calibration", "photos", "--preprocess", "unit-rgb")
    code, _, error = tf2("compress", "colors.onnx", *given, *preprocess, *rest)
    assert code == 0, error
    code, _, error = tf2("compress", "colors.onnx", *given, *rest)  # calibrated by its own inputs
    assert code == 0, error


def test_a_dry_run_trains_a_few_batches_of_each_step(tf2, work):
    code, out, error = tf2(*INQ, "--epochs", "30", "--dry-run", "2")
    assert code == 0, error
    assert "inq, 2 epochs of 16 samples" in out
    assert "step 2/2 (100 %), epoch 1/1, batch 2/2" in error


def test_an_interrupted_training_is_resumed(tf2, work, monkeypatch):
    from tf2.training import loop

    whole = tf2(*INQ)
    assert whole[0] == 0
    wanted = read_model("out.tf2").graph.constants
    original = loop.Trainer._batch

    def interrupted(self, *args):
        self._interruption.wanted = self._position.step == 1
        return original(self, *args)

    monkeypatch.setattr(loop.Trainer, "_batch", interrupted)
    os.remove("out.tf2")
    code, _, error = tf2(*INQ)
    assert code == 130
    assert "out.tf2.checkpoint, go on with --resume" in error
    assert not os.path.exists("out.tf2")
    monkeypatch.undo()
    monkeypatch.chdir(work)
    code, _, error = tf2(*INQ)
    assert code == 1
    assert "holds a training not finished" in error
    code, _, error = tf2(*INQ, "--resume")
    assert code == 0, error
    found = read_model("out.tf2").graph.constants
    assert all((found[name] == data).all() for name, data in wanted.items())


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--train", "nothing"), 1, "nothing there"),
        (("--train-labels", "names.txt"), 1, "columns"),
        (("--schedule", "50"), 1, "must rise from above 0 to 1"),
        (("--schedule", "half"), 2, "no list of numbers"),
        (("--epochs", "0"), 1, "epochs must be 1 or more"),
        (("--lr", "-1"), 1, "lr"),
        (("--loss", "mine:loss"), 1, "mine cannot be imported"),
        (("--keep", "conv9"), 1, "no such layer"),
        (("--auto-keep", "1"), 2, "do not go with training"),
        (("--method", "nearest"), 2, "--train goes with"),
        (("--checkpoint", "gone/state"), 1, "there is no folder"),
    ],
)
def test_wrong_input_is_one_line(tf2, work, options, code, message):
    found, out, error = tf2(*INQ, *options)
    assert (found, out) == (code, "")
    assert message in error
    if code == 1:
        assert error.count("\n") == 1


def test_images_without_labels_are_refused(tf2, work):
    (work / "flat").mkdir()
    for name in image_names("photos")[:4]:
        (work / "flat" / name.replace("/", "_")).symlink_to(work / "photos" / name)
    code, _, error = tf2(*INQ, "--train", "flat")
    assert code == 1
    assert "no label file was given, and" in error


def test_folders_of_another_number_than_the_classes_are_refused(tf2, work):
    (work / "two").mkdir()
    for name in ("red", "blue"):
        (work / "two" / name).symlink_to(work / "photos" / name)
    code, _, error = tf2(*INQ, "--train", "two")
    assert code == 1
    assert "the images are in 2 folders, but the network has 3 classes" in error
    code, _, error = tf2(*INQ, "--train", "two", "--labels", "names.txt")
    assert code == 0, error


def test_labels_beyond_the_classes_are_refused(tf2, work):
    names = image_names("photos")
    rows = [f"{name},{index % 5}" for index, name in enumerate(names)]
    (work / "five.csv").write_text("\n".join(["file,class_index", *rows]) + "\n")
    code, _, error = tf2(*INQ, "--train-labels", "five.csv")
    assert code == 1
    assert "the labels name class 4, but the network has 3 classes" in error
