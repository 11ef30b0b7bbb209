"""Whatever is wrong: one clear line on stderr, exit code 1 or 2, nothing on stdout, no file."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from color_classifier import color_model, write_images

COMPRESS = ("--calibration", "photos", "--preprocess", "unit-rgb", "-o", "out.tf2")


def fails(result: tuple[int, str, str], *parts: str, code: int = 1) -> None:
    """Check exit code, an empty stdout, one line of error with these parts, and no output file."""
    found, out, error = result
    assert (found, out) == (code, ""), error + out
    if code == 1:
        assert error.startswith("error: ")
        assert error.count("\n") == 1, error
    for part in parts:
        assert part in error, error
    assert not list(Path().glob("out*"))
    assert not list(Path().glob(".out*")), "a temporary file was left"


def changed_model(name: str, change) -> None:
    """Write ``bad.onnx``: the model with one constant changed."""
    model = color_model()
    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            tensor.CopyFrom(numpy_helper.from_array(change(array), name))
    onnx.save(model, "bad.onnx")


# Models


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("missing.onnx", "there is no such file or folder. Models are .onnx"),
        ("names.txt", "names.txt: .txt is no model. Models are .onnx"),
        ("colors.tf2", "is compressed already"),
        ("photos", "is a folder, and no SavedModel"),
        ("w.caffemodel", "Give its .prototxt as the model, with --weights w.caffemodel"),
        ("w.pth", "PyTorch weights without the network. Give the function"),
        ("net.py", "Name the function that makes the network: net.py:FUNCTION"),
        ("net.tflite", "is a TensorFlow Lite file"),
        ("net.prototxt", "2 .caffemodel files lie beside it (v.caffemodel, w.caffemodel)"),
        ("no.module:here", "no.module cannot be imported"),
    ],
)
def test_what_is_no_model_gets_a_way_out(tf2, work, name, part):
    for file in ("w.caffemodel", "v.caffemodel", "w.pth", "net.py", "net.tflite", "net.prototxt"):
        Path(file).write_bytes(b"x")
    fails(tf2("import", name, "--input-shape", "1,3"), part)


def test_a_prototxt_without_weights_beside_it(tf2, work):
    Path("net.prototxt").write_text('name: "n"')
    fails(tf2("import", "net.prototxt"), "no .caffemodel lies beside it. Name the weights by")


def test_a_function_needs_shapes(tf2, work):
    fails(tf2("import", "torch.nn:Identity"), "does not say the shape of its inputs")


def test_weights_beside_a_model_that_holds_them(tf2, work):
    fails(tf2("import", "colors.onnx", "--weights", "w.pth"), "holds its weights itself")


@pytest.mark.parametrize("command", ["import", "compress"])
def test_a_truncated_model(tf2, work, command):
    Path("cut.onnx").write_bytes(Path("colors.onnx").read_bytes()[:-40])
    options = COMPRESS if command == "compress" else ()
    fails(tf2(command, "cut.onnx", *options), "cut.onnx")


def test_nan_weights(tf2, work):
    changed_model("w2", lambda w: np.full_like(w, np.nan))
    fails(tf2("compress", "bad.onnx", *COMPRESS), "'w2'", "NaN or infinite")


@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ("1,4,12,12", "does not fit its input shapes, image (1, 4, 12, 12)"),
        ("picture=1,3,12,12", "has no input 'picture'; its inputs are image"),
    ],
)
def test_shapes_that_do_not_fit(tf2, work, shape, part):
    fails(tf2("import", "colors.onnx", "--input-shape", shape), part)


def test_an_output_that_is_not_there(tf2, work):
    fails(tf2("import", "colors.onnx", "--output", "prob"), "no value 'prob'", "scores")


# Calibration


def test_an_empty_calibration_folder(tf2, work):
    Path("none").mkdir()
    fails(tf2("compress", "colors.onnx", *COMPRESS, "--calibration", "none"), "none: no images")


def test_a_calibration_set_that_is_not_there(tf2, work):
    fails(tf2("compress", "colors.onnx", *COMPRESS, "--calibration", "gone"), "gone: nothing there")


def test_one_calibration_image(tf2, work):
    fails(tf2("compress", "colors.onnx", *COMPRESS, "--samples", 1), "has 1 sample: give 2 at")


def test_images_need_a_preprocessing(tf2, work):
    fails(
        tf2("compress", "colors.onnx", "--calibration", "photos", "-o", "out.tf2"),
        "an image needs a preprocessing",
    )


def test_an_unknown_preprocessing(tf2, work):
    fails(
        tf2("compress", "colors.onnx", *COMPRESS, "--preprocess", "imagenet"),
        "'imagenet' is neither a preset nor a file",
    )


def spoil(folder: Path) -> None:
    write_images(folder)
    (folder / "photos/red/0.png").write_bytes(b"no image")
    (folder / "photos/blue/1.png").write_bytes((folder / "photos/blue/2.png").read_bytes()[:60])


def test_unreadable_images_are_named_counted_and_skipped_only_if_told(tf2, work):
    spoil(Path("mixed"))
    args = ("compress", "colors.onnx", *COMPRESS, "--calibration", "mixed/photos")
    fails(tf2(*args), "mixed/photos/", "Of all 24 samples 22 are good", "--skip-bad")
    code, _, error = tf2(*args, "--skip-bad")
    assert code == 0
    assert "warning: 2 samples skipped, the first: mixed/photos/blue/1.png" in error


def test_eval_skips_bad_images_with_their_labels(tf2, work):
    spoil(Path("mixed"))
    args = ("eval", "colors.tf2", "--data", "mixed/photos")
    fails(tf2(*args), "mixed/photos/")
    code, out, _ = tf2(*args, "--skip-bad")
    assert code == 0
    assert out.splitlines()[1].split() == ["top-1", "100.00", "%"]
    assert out.splitlines()[3].split() == ["samples", "22"]


def test_images_of_another_size_than_the_input(tf2, work):
    Path("large").mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20)).save(f"large/{i}.png")
    Path("none.json").write_text("{}")
    fails(
        tf2(
            "compress",
            "colors.onnx",
            *COMPRESS,
            "--calibration",
            "large",
            "--preprocess",
            "none.json",
        ),
        "(3, 20, 20)",
        "(3, 12, 12)",
    )


def test_nan_in_calibration_arrays(tf2, work):
    x = np.zeros((4, 3, 12, 12), np.float32)
    x[2] = np.nan
    np.save("x.npy", x)
    fails(tf2("compress", "colors.onnx", "--calibration", "x.npy", "-o", "out.tf2"), "x.npy", "NaN")


def test_an_npz_of_several_arrays_needs_a_key(tf2, work):
    np.savez("x.npz", a=np.zeros((4, 3, 12, 12)), b=np.zeros(4))
    fails(tf2("compress", "colors.onnx", "--calibration", "x.npz", "-o", "out.tf2"), "a (4, 3, 12")


# Layers


@pytest.mark.parametrize(
    "change",
    [
        lambda w: np.zeros_like(w),
        lambda w: w * np.array([1, 0, 1], np.float32)[:, None, None, None],
        lambda w: w * 1e-20,
        lambda w: w * 1e20,
    ],
    ids=["all zero", "dead channel", "tiny", "huge"],
)
@pytest.mark.parametrize("method", ["nearest", "compensated"])
def test_odd_layers_compress_or_are_refused_with_their_name(tf2, work, change, method):
    changed_model("w2", change)
    code, _, error = tf2("compress", "bad.onnx", *COMPRESS, "--method", method)
    if code:
        assert code == 1
        assert "conv2" in error
        assert not Path("out.tf2").exists()
    else:
        assert tf2("run", "out.tf2", "photos/red/0.png")[0] == 0


def test_a_layer_to_keep_that_is_not_there(tf2, work):
    fails(
        tf2("compress", "colors.onnx", *COMPRESS, "--keep", "conv9"),
        "'conv9'",
        "Layers with weights: conv1, conv2",
    )


# Labels and class names


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nothing\n", "'file' and 'class_index' are needed in a header"),
        ("file,class_index\nred/0.png,x\n", "line 2: class_index 'x' is not a number"),
        ("file,class_index\nred/0.png,0\n", "35 of 36 samples have no label"),
    ],
)
def test_wrong_label_files(tf2, work, text, part):
    Path("wrong.csv").write_text(text)
    fails(tf2("eval", "colors.tf2", "--data", "photos", "--labels", "wrong.csv"), part)


def test_labels_beyond_the_classes(tf2, work):
    text = Path("labels.csv").read_text().replace(",2", ",7")
    Path("wrong.csv").write_text(text)
    fails(
        tf2("eval", "colors.tf2", "--data", "photos", "--labels", "wrong.csv"),
        "class index 7 in the labels, but the model has 3 classes",
    )


def test_class_names_of_another_number(tf2, work):
    Path("two.txt").write_text("a\nb\n")
    fails(tf2("compress", "colors.onnx", *COMPRESS, "--labels", "two.txt"), "2 class names")


def test_labels_that_are_missing(tf2, work):
    Path("flat").mkdir()
    Image.new("RGB", (12, 12)).save("flat/a.png")
    fails(tf2("eval", "colors.tf2", "--data", "flat"), "no label file was given, and no class")


# .tf2 files and engines


@pytest.mark.parametrize("command", ["run", "eval", "info", "compare", "export"])
def test_a_truncated_tf2_file(tf2, work, command):
    Path("cut.tf2").write_bytes(Path("colors.tf2").read_bytes()[:-100])
    options = {
        "run": ["photos/red/0.png"],
        "eval": ["--data", "photos"],
        "info": [],
        "compare": ["--data", "photos"],
        "export": ["--onnx", "out.onnx"],
    }[command]
    fails(tf2(command, "cut.tf2", *options), "cut.tf2")


def test_an_unknown_engine(tf2, work):
    fails(
        tf2("run", "colors.tf2", "photos/red/0.png", "--engine", "fpga"),
        "there is no engine 'fpga'; engines are board, float, functional, int, rtl",
    )


def test_arrays_of_another_shape(tf2, work):
    np.save("x.npy", np.zeros((2, 3, 5, 5), np.float32))
    fails(tf2("run", "colors.tf2", "x.npy", "-o", "out.npz"), "(3, 5, 5)", "(3, 12, 12)")


# Usage


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("import",), "Missing argument"),
        (("compress", "colors.onnx"), "--calibration"),
        (("import", "colors.onnx", "--input-shape", "1,x"), "is no shape"),
        (("import", "colors.onnx", "--input-shape", "1,0"), "is no shape"),
        (
            ("import", "colors.onnx", "--input-shape", "a=1", "--input-shape", "2"),
            "name all inputs",
        ),
        (("compress", "colors.onnx", *COMPRESS, "--method", "best"), "best"),
        (("compress", "colors.onnx", *COMPRESS, "--auto-keep", 1), "--data"),
        (("run", "colors.tf2", "x.npy", "y.npy"), "one array file and nothing else"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_usage_is_exit_code_2(tf2, work, args, part):
    fails(tf2(*args), part, code=2)


# Output


@pytest.mark.parametrize(
    ("target", "part"),
    [("nowhere/out.tf2", "there is no folder"), ("photos", "it is a folder")],
)
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    tf2, work, target, part, monkeypatch
):
    monkeypatch.setattr("tf2.flow.compress", lambda *_: pytest.fail("the work was begun"))
    fails(tf2("compress", "colors.onnx", *COMPRESS[:-1], target), part)


PROGRAM = """
import {modules}
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's background job
{setup}
from tf2.cli.main import main
sys.argv = ["tf2", "compress", "colors.onnx", "--calibration", "photos", "--preprocess",
            "unit-rgb", "-o", "out.tf2"]
main()
"""


def run_python(setup: str, **options) -> subprocess.CompletedProcess:
    program = PROGRAM.format(modules="os, signal, sys", setup=setup)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_ctrl_c_says_so_and_leaves_the_old_file(work):
    Path("out.tf2").write_bytes(b"the old file")
    setup = (
        "import tf2.flow.compressing as c\n"
        "c.batches_of = lambda *_: os.kill(os.getpid(), signal.SIGINT) or []"
    )
    done = run_python(setup)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted: nothing was written\n"
    assert Path("out.tf2").read_bytes() == b"the old file"
    assert not list(Path().glob(".out*"))


def test_a_full_disk_says_so_and_leaves_the_old_file(work):
    Path("out.tf2").write_bytes(b"the old file")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = run_python("", preexec_fn=limit)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: out.tf2 cannot be written: File too large\n"
    assert Path("out.tf2").read_bytes() == b"the old file"
    assert not list(Path().glob(".out*"))


# Faults of our own


def test_an_internal_error_is_one_line_and_a_traceback_with_debug(tf2, work, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("lost count")

    monkeypatch.setattr("tf2.flow.compress", broken)
    args = ("compress", "colors.onnx", *COMPRESS)
    fails(tf2(*args), "internal error: RuntimeError: lost count. Please report it")
    code, out, error = tf2("--debug", *args)
    assert (code, out) == (1, "")
    assert "Traceback" in error
    assert "error: internal error: RuntimeError: lost count" in error


def test_a_reader_that_goes_away_is_no_error(work):
    command = f"{sys.executable} -m tf2 info colors.tf2 --text | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_no_progress_and_no_colour_where_nobody_watches(work):
    env = {**os.environ, "FORCE_COLOR": "", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tf2", "run", "colors.tf2", "photos/red/0.png"],
        capture_output=True, text=True, check=True, env=env,
    )  # fmt: skip
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
