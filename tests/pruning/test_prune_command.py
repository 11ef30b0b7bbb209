"""``tf2 prune``: from labelled images to a smaller model that compresses; wrong input is said."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from color_classifier import CLASSES, write_images, write_model
from tf2.cli.main import app
from tf2.importers import load_model
from tf2.model_file import read_model

pytest.importorskip("torch")

DATA = (
    "--train", "photos", "--data", "photos", "--labels", "names.txt", "--preprocess", "unit-rgb",
    "--lr", "0.01", "--batch", "6", "--epochs", "1", "--prune-epochs", "1",
)  # fmt: skip


def tf2(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def work(tmp_path, monkeypatch):
    write_images(tmp_path, count=4)
    write_model(tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_channels_go_and_the_result_compresses(work):
    code, out, error = tf2(
        "prune", "colors.onnx", *DATA, "--target", "flops=70%", "--round-to", "1", "--overlay",
        "test-small", "--log", "log", "-o", "small.onnx",
    )  # fmt: skip
    assert code == 0, error
    assert "multiply-accumulates" in out
    assert "cycles on test-small" in out
    assert "conv1 3 -> 2" in out
    assert len((work / "log").read_text().splitlines()) == 2
    assert sorted(os.listdir()) == ["colors.onnx", "log", "names.txt", "photos", "small.onnx"]
    assert load_model("small.onnx").graph.constants
    inq = ("--method", "inq", "--schedule", "100", "--epochs", "1", "--batch", "6")
    code, _, error = tf2(
        "compress", "small.onnx", *inq, "--train", "photos", "--preprocess", "unit-rgb",
        "-o", "small.tf2",
    )  # fmt: skip
    assert code == 0, error
    assert read_model("small.tf2").graph.constants


@pytest.mark.parametrize(("method", "normalize"), [("random", True), ("magnitude", False)])
def test_single_weights_go_and_the_report_is_json(work, method, normalize):
    recipe = {"pruning": {"measure": "params", "normalize": normalize}}
    (work / "recipe.json").write_text(json.dumps(recipe))
    code, out, error = tf2(
        "prune", "colors.onnx", *DATA, "--recipe", "recipe.json", "--method", method, "--target",
        "params=0.93", "--json",
    )  # fmt: skip
    assert code == 0, error
    report = json.loads(out)
    assert report["file"] == "colors.pruned.onnx"
    assert report["before"]["zeros"] == 0
    zeros = [
        int((data == 0).sum())
        for data in load_model("colors.pruned.onnx").graph.constants.values()
        if data.ndim > 1
    ]
    assert sum(zeros) == report["after"]["zeros"] > 0
    assert report["after"]["params"] == report["before"]["params"] - report["after"]["zeros"]
    assert report["before"]["cycles"] is None
    assert len(report["epochs"]) == 2
    assert 0 <= report["after"]["top1"] <= 1


@pytest.mark.parametrize("normalize", [False, True])
def test_an_interrupted_pruning_is_resumed_to_the_same_network(normalize, work, monkeypatch):
    from tf2.training import loop

    (work / "recipe.json").write_text(json.dumps({"pruning": {"normalize": normalize}}))
    options = ("--recipe", "recipe.json", "--target", "flops=0.7", "--round-to", "1")
    command = ("prune", "colors.onnx", *DATA, *options)
    assert tf2(*command, "-o", "whole.onnx")[0] == 0
    original = loop.Trainer._batch

    for stop_at in (1, 3):  # while channels are chosen, and afterwards
        done = 0

        def batch(self, *args, at=stop_at):
            nonlocal done
            done += 1
            self._interruption.wanted = done == at
            return original(self, *args)

        monkeypatch.setattr(loop.Trainer, "_batch", batch)
        code, _, error = tf2(*command, "-o", "parts.onnx")
        assert code == 130
        assert "go on with --resume" in error
        monkeypatch.setattr(loop.Trainer, "_batch", original)
        code, _, error = tf2(*command, "-o", "parts.onnx")
        assert code == 1
        assert "holds a pruning not finished" in error
        assert tf2(*command, "--resume", "-o", "parts.onnx")[0] == 0
        whole, parts = (load_model(f"{name}.onnx").graph for name in ("whole", "parts"))
        assert list(whole.constants) == list(parts.constants)
        for name, data in whole.constants.items():
            np.testing.assert_array_equal(parts.constants[name], data)
        assert not any(node.kind == "BatchNormalization" for node in whole.nodes)
        os.remove("parts.onnx")


@pytest.mark.parametrize(
    ("args", "parts", "code"),
    [
        (("--target", "flops=0.01"), ("cannot be reached", "are left"), 1),
        (("--target", "size=0.5"), ("flops=0.5",), 2),
        (("--target", "flops=1.5"), ("flops=0.5",), 2),
        (("--keep", "nothing"), ("no such layer", "conv1"), 1),
        (("--method", "random", "--target", "cycles=0.5"), ("save no cycles",), 1),
        (("--method", "random", "--target", "params=0.1"), ("cannot be reached",), 1),
        (("--target", "cycles=0.5", "--overlay", "none"), ("none",), 1),
        (("--prune-epochs", "0"), ("importance taylor is learnt",), 1),
        (("--train-labels", "absent.csv"), ("absent.csv",), 1),
        (("--recipe", "names.txt"), ("names.txt",), 1),
    ],
)
def test_wrong_input_is_said_in_one_line(work, args, parts, code):
    found, out, error = tf2("prune", "colors.onnx", *DATA, *args, "-o", "out.onnx")
    assert (found, out) == (code, ""), error
    assert all(part in error for part in parts), error
    assert code == 2 or error.count("\n") == 1
    assert not os.path.exists("out.onnx")


def test_data_without_labels_is_refused(work):
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.standard_normal((8, 3, 12, 12)).astype(np.float32))
    code, out, error = tf2("prune", "colors.onnx", "--train", "x.npy")
    assert (code, out) == (1, "")
    assert "label" in error


def test_a_checkpoint_of_another_pruning_is_refused(work, monkeypatch):
    from tf2.training import loop

    original = loop.Trainer._batch

    def stopped(self, *args):
        self._interruption.wanted = True
        return original(self, *args)

    command = ("prune", "colors.onnx", *DATA, "--round-to", "1", "-o", "small.onnx")
    monkeypatch.setattr(loop.Trainer, "_batch", stopped)
    assert tf2(*command, "--target", "flops=0.7")[0] == 130
    monkeypatch.setattr(loop.Trainer, "_batch", original)
    code, out, error = tf2(*command, "--target", "flops=0.8", "--resume")
    assert (code, out) == (1, "")
    assert "belongs to another training: its pruning settings differs" in error


def test_a_full_disk_is_said_and_the_training_is_not_lost(work, monkeypatch):
    def full(_path):
        raise OSError(28, "No space left on device")

    command = ("prune", "colors.onnx", *DATA, "--target", "flops=0.7", "--round-to", "1")
    monkeypatch.setattr("tf2.flow.pruned.atomic_write", full)
    code, out, error = tf2(*command, "-o", "small.onnx")
    assert (code, out) == (1, "")
    assert "small.onnx cannot be written: No space left on device" in error
    monkeypatch.undo()
    monkeypatch.chdir(work)
    code, _, error = tf2(*command, "--resume", "-o", "small.onnx")
    assert code == 0, error
