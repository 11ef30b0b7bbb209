"""Each subcommand once as a user would call it, as text and as JSON."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime as ort
import pytest

from color_classifier import write_model
from tf2.cli.main import app
from tf2.engines import Session


def as_json(result: tuple[int, str, str]) -> dict:
    code, out, error = result
    assert code == 0, error
    return json.loads(out)


def test_import_reports(tf2, work):
    code, out, error = tf2("import", "colors.onnx")
    assert (code, error) == (0, "")
    assert "image float32[1,3,12,12] (batch free)" in out
    assert "2 Conv, 2 Relu, 1 GlobalAveragePool, 1 Softmax" in out
    assert "largest difference to ONNX Runtime" in out
    assert "fused into conv1" in out


def test_import_as_json(tf2, work):
    report = as_json(tf2("import", "colors.onnx", "--json"))
    assert report["parameters"] == 81 + 3 + 9 + 3
    assert report["macs"] == 144 * (81 + 9)
    assert report["check"]["largest_difference"] < 1e-6
    places = {row["node"]: row["place"] for row in report["support"]}
    assert places["conv1"] == "array"
    assert places["softmax"] == "host"


def test_import_prints_the_graph(tf2, work):
    code, out, _ = tf2("import", "colors.onnx", "--print", "--no-check")
    assert code == 0
    assert "Conv" in out
    assert "%image" in out


def test_import_takes_shapes_and_outputs(tf2, work):
    report = as_json(
        tf2("import", "colors.onnx", "--input-shape", "image=4,3,12,12", "--output", "r1", "--json")
    )
    assert list(report["outputs"]) == ["r1"]
    assert report["source"]["input_shapes"] == {"image": [4, 3, 12, 12]}


def test_compress_writes_the_file_and_reports(tf2, work):
    code, out, error = tf2(
        "compress", "colors.onnx", "--calibration", "photos", "--preprocess", "unit-rgb",
        "--method", "nearest", "--keep", "conv1", "--samples", "32", "-o", "mine.tf2",
    )  # fmt: skip
    assert (code, error) == (0, "")
    assert "1 at 4 bits, 1 at 8 bits" in out
    assert "32 samples" in out
    assert "wrote mine.tf2" in out
    assert (work / "mine.tf2").stat().st_size > 0


def test_compress_as_json(tf2, work):
    result = as_json(
        tf2("compress", "colors.onnx", "--calibration", "photos", "--preprocess", "unit-rgb",
            "-o", "mine.tf2", "--seed", 3, "--json")
    )  # fmt: skip
    assert result["file"] == "mine.tf2"
    assert result["manifest"]["settings"]["seed"] == 3
    assert result["manifest"]["source"]["model"] == "colors.onnx"


def test_compress_to_a_given_loss(tf2, work):
    code, out, error = tf2(
        "compress", "colors.onnx", "--calibration", "photos", "--preprocess", "unit-rgb",
        "--auto-keep", 1, "--data", "photos", "--data-labels", "labels.csv", "-o", "kept.tf2",
    )  # fmt: skip
    assert (code, error) == (0, "")
    assert "100.00 % as integers, 100.00 % in float, on 36 samples" in out


def test_per_channel_scales_are_compared_in_float_only(tf2, work):
    args = ("--calibration", "photos", "--preprocess", "unit-rgb", "--per-channel", "-o", "c.tf2")
    assert tf2("compress", "colors.onnx", *args)[0] == 0
    code, out, error = tf2("compare", "c.tf2", "--data", "photos")
    assert code == 0
    assert "only what is float is compared" in error
    assert "bytes" not in out


def test_compress_is_repeatable(tf2, work):
    def content(name: str) -> bytes:
        args = ("--calibration", "photos", "--preprocess", "unit-rgb", "-o", name)
        assert tf2("compress", "colors.onnx", *args)[0] == 0
        return Session(work / name).graph

    first, second = content("a.tf2"), content("b.tf2")
    for name, data in first.constants.items():
        np.testing.assert_array_equal(data, second.constants[name])


def test_compress_warns_of_few_samples_and_takes_crops(tf2, work):
    args = ("colors.onnx", "--preprocess", "unit-rgb", "--calibration", "photos", "--samples", 8)
    code, _, error = tf2("compress", *args, "-o", "few.tf2")
    assert code == 0
    assert "warning: only 8 calibration samples" in error
    code, out, error = tf2("compress", *args, "--crops", 3, "-o", "few.tf2")
    assert (code, error) == (0, "")
    assert "32 samples" in out


def test_a_preset_is_fitted_to_the_models_input(tf2, work):
    result = as_json(
        tf2("compress", "colors.onnx", "--calibration", "photos", "--preprocess",
            "torch-imagenet", "-o", "fitted.tf2", "--json")
    )  # fmt: skip
    assert result["manifest"]["preprocessing"]["crop"] == [12, 12]


def test_run_names_the_classes(tf2, work):
    code, out, error = tf2("run", "colors.tf2", "photos/green/0.png", "--top", 2)
    assert (code, error) == (0, "")
    assert out.splitlines()[0] == "photos/green/0.png"
    assert out.splitlines()[1].split()[1:] == ["1", "green"]
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize("engine", ["int", "float"])
def test_run_a_folder_as_json(tf2, work, engine):
    result = as_json(tf2("run", "colors.tf2", "photos", "--engine", engine, "--json"))
    assert len(result["results"]) == 36
    for row in result["results"]:
        assert row["top"][0]["name"] in row["input"]


def test_run_arrays_and_save_outputs(tf2, work, rng):
    x = rng.random((3, 3, 12, 12), np.float32)
    np.save("x.npy", x)
    code, out, _ = tf2("run", "colors.tf2", "x.npy", "-o", "y.npz")
    assert code == 0
    assert "wrote y.npz" in out
    expected = Session("colors.tf2").run(None, {"image": x})[0]
    with np.load("y.npz") as saved:
        np.testing.assert_array_equal(saved["scores"], expected)


def test_run_an_array_by_its_key(tf2, work, rng):
    np.savez("x.npz", x=rng.random((2, 3, 12, 12), np.float32), y=np.arange(2))
    result = as_json(tf2("run", "colors.tf2", "x.npz:x", "--json"))
    assert result["samples"] == 2
    assert result["outputs"][0]["shape"] == [2, 3, 1, 1]


def test_eval_prints_both_engines_side_by_side(tf2, work):
    code, out, error = tf2(
        "eval", "colors.tf2", "--data", "photos", "--labels", "labels.csv", "--against", "float"
    )
    assert (code, error) == (0, "")
    assert out.splitlines()[0].split() == ["int", "float"]
    assert out.splitlines()[1].split() == ["top-1", "100.00", "%", "100.00", "%"]
    assert "top-1 int - float: +0.00 points (standard error 0.00); same class for 100.0 %" in out


def test_eval_as_json_by_folder_and_part(tf2, work):
    result = as_json(
        tf2("eval", "colors.tf2", "--data", "photos", "--samples", 10, "--batch", 4, "--json")
    )
    figures = result["engines"]["int"]
    assert (figures["top1"], figures["top5"], figures["samples"]) == (1.0, 1.0, 10)
    assert figures["images_per_second"] > 0


def test_eval_arrays_with_labels_by_key(tf2, work):
    images = np.zeros((3, 12, 12, 3), np.uint8) + 40
    images[[0, 1, 2], ..., [2, 0, 1]] = 220
    np.savez("set.npz", x=images, y=np.array([2, 0, 1]))
    result = as_json(
        tf2("eval", "colors.tf2", "--data", "set.npz:x", "--labels", "set.npz:y", "--json")
    )
    assert result["engines"]["int"]["top1"] == 1.0


def test_info_says_what_is_in_the_file(tf2, work):
    code, out, _ = tf2("info", "colors.tf2")
    assert code == 0
    assert "colors (onnx), from colors.onnx" in out
    assert "3 names" in out
    assert "times smaller than the float32 weights" in out


def test_info_tables_text_and_json(tf2, work):
    assert "conv2" in tf2("info", "colors.tf2", "--layers")[1]
    assert "fused into conv2" in tf2("info", "colors.tf2", "--support")[1]
    assert "tf2.Conv" in tf2("info", "colors.tf2", "--text")[1]
    manifest = as_json(tf2("info", "colors.tf2", "--json"))["manifest"]
    assert [row["name"] for row in manifest["layers"]] == ["conv1", "conv2"]


def test_compare_lists_values_and_the_first_divergence(tf2, work):
    code, out, _ = tf2("compare", "colors.tf2", "--data", "photos", "--samples", 4)
    assert code == 0
    assert "no value is below 10 dB" in out
    result = as_json(tf2("compare", "colors.tf2", "--data", "photos", "--limit", 300, "--json"))
    assert result["first_diverging"]["value"] == "r1"
    assert result["values"][0]["place"] == "bytes"


def test_export_gives_the_same_integers(tf2, work, rng):
    code, out, _ = tf2("export", "colors.tf2", "--onnx", "int.onnx")
    assert code == 0
    assert "wrote int.onnx" in out
    x = rng.random((2, 3, 12, 12), np.float32)
    (found,) = ort.InferenceSession("int.onnx").run(None, {"image": x})
    np.testing.assert_array_equal(found, Session("colors.tf2").run(None, {"image": x})[0])


def test_export_with_pixels_as_input(tf2, work):
    assert tf2("export", "colors.tf2", "--onnx", "b.onnx", "--input", "features")[0] == 0
    session = ort.InferenceSession("b.onnx")
    (entry,) = session.get_inputs()
    assert entry.type == "tensor(uint8)"
    # The preprocessing is pixel / 255, folded into the first layer: its bytes are the pixels,
    # inside the border of conv1.
    feeds = Session("colors.tf2").preprocess(["photos/red/0.png"])
    pixels = np.rint(feeds["image"] * 255).astype(np.uint8)
    border = [(0, 0), (0, 0)] + [((size - 12) // 2,) * 2 for size in entry.shape[2:]]
    (found,) = session.run(None, {entry.name: np.pad(pixels, border)})
    np.testing.assert_array_equal(found, Session("colors.tf2").run(None, feeds)[0])


def test_float_source_can_be_named(tf2, work):
    (work / "colors.onnx").unlink()
    (work / "deep").mkdir()
    write_model(work / "deep")
    args = ("run", "colors.tf2", "photos/red/0.png", "--engine", "float")
    assert tf2(*args)[0] == 1
    assert tf2(*args, "--source", "deep/colors.onnx")[0] == 0


def test_every_command_has_help_with_examples(tf2):
    for command in app.registered_commands:
        code, out, _ = tf2(command.name, "--help")
        assert code == 0
        assert "Examples:" in out
        assert "--json" in out


def test_version(tf2):
    from tf2 import __version__

    assert tf2("--version") == (0, f"tf2 {__version__}\n", "")
