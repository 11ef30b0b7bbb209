"""The bytes of the file are those that docs/file_format.md promises."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_file_examples import GraphBuilder, model_of, random_graph
from safetensors.numpy import load

from tf2.ir import Feature, Graph, TensorType
from tf2.model_file import LayerReport, Support, read_model, write_model
from tf2.numerics import pot4

PAGE = Path(__file__).parents[2] / "docs" / "file_format.md"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_model(model_of(random_graph(8)), tmp_path / "m.tf2")
    return tmp_path / "m.tf2"


def test_members_are_three_with_fixed_order_method_and_time(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        found = [(i.filename, i.compress_type, i.date_time) for i in archive.infolist()]
        assert {i.create_system for i in archive.infolist()} == {3}  # on every system
    epoch = (1980, 1, 1, 0, 0, 0)
    assert found == [
        ("manifest.json", zipfile.ZIP_DEFLATED, epoch),
        ("graph.json", zipfile.ZIP_DEFLATED, epoch),
        ("tensors.safetensors", zipfile.ZIP_STORED, epoch),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_tensors_can_be_mapped_from_the_file(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.tf2"
    write_model(model_of(random_graph(seed)), path)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("tensors.safetensors")
        tensors = load(archive.read(info))
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
        begin = info.header_offset + 30 + name_length + extra_length
        file.seek(begin)
        header_length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_length))
    data_at = begin + 8 + header_length
    assert data_at % 64 == 0
    for name, tensor in tensors.items():
        offset = data_at + header[name]["data_offsets"][0]
        assert offset % tensor.dtype.itemsize == 0
        mapped = np.memmap(path, tensor.dtype, "r", offset, tensor.shape) if tensor.size else tensor
        assert mapped.tobytes() == tensor.tobytes()


def test_example_of_packed_words_holds() -> None:
    text = PAGE.read_text()
    words = pot4.pack(pot4.encode(np.array([1, -64, 0, 8, -1])))
    assert [f"{word:#06x}" for word in words] == ["0xb768", "0x7770"]
    assert words.astype("<u2").tobytes()[:2] == bytes.fromhex("68 b7")
    assert all(f"`{word:#06x}`" in text for word in words)


@pytest.mark.parametrize("seed", range(20))
def test_reader_of_the_page_reads_the_weights(tmp_path: Path, seed: int) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert len(code.splitlines()) <= 22
    scope: dict[str, Any] = {}
    exec(code, scope)
    graph = random_graph(seed)
    write_model(model_of(graph), tmp_path / "m.tf2")
    found = scope["read_weights"](tmp_path / "m.tf2")
    packed = [n.inputs[1] for n in graph.nodes if n.attr("weight_kind", "") == "pot4"]
    assert sorted(found) == sorted(packed)
    for name in packed:
        np.testing.assert_array_equal(found[name], graph.constants[name])


def layer_parameters(limit: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "w": rng.choice(pot4.VALUES, (64, 8, 3, 3)).astype(np.int8),
        "b": rng.integers(-limit, limit, 64).astype(np.int32),
        "m": np.full(64, 255, np.int32),
        "s": np.full(64, 16, np.int32),
    }


@pytest.mark.parametrize(("limit", "pool"), [(200, "int16"), (32_768, "int16"), (40_000, "int32")])
def test_parameters_take_the_bytes_they_need(tmp_path: Path, limit: int, pool: str) -> None:
    builder = GraphBuilder(np.random.default_rng(0))
    builder.types["x"] = TensorType(Feature(4, 0), (1, 8, 5, 5))
    names = [builder.constant(k, v) for k, v in layer_parameters(limit).items()]
    out = TensorType(Feature(4, -128), (1, 64, 3, 3))
    builder.node("Conv", ["x", *names], out, "tf2", weight_kind="pot4")
    graph = Graph(
        name="g", inputs=("x",), outputs=("conv0.y",), nodes=tuple(builder.nodes),
        types=builder.types, constants=builder.constants,
    )  # fmt: skip
    model = model_of(graph)
    model.save(tmp_path / "m.tf2")
    with zipfile.ZipFile(tmp_path / "m.tf2") as archive:
        tensors = load(archive.read("tensors.safetensors"))
    sizes = {name: tensor.nbytes for name, tensor in tensors.items()}
    bias_bytes = 64 * np.dtype(pool).itemsize
    assert sizes == {"weight:w": 64 * 72 // 2, f"pool:{pool}": bias_bytes, "pool:uint8": 128}
    assert (model.weight_count, model.weight_bytes) == (64 * 72, 64 * 36)


SQUEEZENET = [(3, 64, 3), (512, 1000, 1)] + [
    layer
    for channels, squeeze, expand in [
        (64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128),
        (256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256),
    ]
    for layer in [(channels, squeeze, 1), (squeeze, expand, 1), (squeeze, expand, 3)]
]  # fmt: skip


def test_network_of_squeezenets_size_is_less_than_a_seventh_and_a_half(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    builder = GraphBuilder(rng)
    outputs, reports, support = [], [], []
    for number, (i, o, k) in enumerate(SQUEEZENET):
        x = builder.types.setdefault(f"x{number}", TensorType(Feature(4, -128), (1, i, 7, 7)))
        arrays = {
            "weight": rng.choice(pot4.VALUES, (o, i, k, k)).astype(np.int8),
            "bias": rng.integers(-70_000, 70_000, o).astype(np.int32),
            "multiplier": rng.integers(1, 256, o).astype(np.int32),
            "shift": rng.integers(0, 17, o).astype(np.int32),
        }
        layer = f"fire{number}/expand{k}x{k}"
        names = [builder.constant(f"{layer}.{key}", data) for key, data in arrays.items()]
        out = TensorType(Feature(4, -128), (1, o, 7, 7))
        pads = (k // 2,) * 4
        y = builder.node("Conv", [f"x{number}", *names], out, "tf2", weight_kind="pot4", pads=pads,
                         strides=(1, 1), dilations=(1, 1), group=1, low=-128, high=127)  # fmt: skip
        assert x.shape[1] == i
        outputs.append(y)
        reports.append(
            LayerReport(
                name=layer,
                weights="pot4",
                shape=(o, i, k, k),
                weight_sqnr_db=rng.normal(),
                output_sqnr_db=rng.normal(),
                zeros=rng.random(),
                exact=False,
                saturated=rng.random(),
            )
        )
    for number in range(70):
        support.append(
            Support(
                node=f"fire{number}/relu",
                op="Relu",
                place="fused",
                layer=f"fire{number}",
                reason="ReLU is the lower bound of the layer's bytes",
            )
        )
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz ,"))
    labels = tuple("".join(rng.choice(letters, 14)) for _ in range(1000))  # deflates badly
    graph = Graph(
        name="squeezenet", inputs=tuple(f"x{n}" for n in range(26)), outputs=tuple(outputs),
        nodes=tuple(builder.nodes), types=builder.types, constants=builder.constants,
    )  # fmt: skip
    model = model_of(graph, layers=reports, support=support, labels=labels)
    assert model.weight_count == 1_231_552
    model.save(tmp_path / "m.tf2")
    # Against weights and biases in float32, with biases here that all need four bytes.
    float_bytes = 4 * (model.weight_count + sum(o for _, o, _ in SQUEEZENET))
    assert float_bytes / (tmp_path / "m.tf2").stat().st_size >= 7.5
    assert read_model(tmp_path / "m.tf2").weight_bytes == 1_231_552 // 2


def test_manifest_is_read_without_the_packages_that_models_need(path: Path) -> None:
    code = (
        "import sys, tf2.model_file as m; m.read_manifest(sys.argv[1]);"
        "print({'onnx', 'onnxruntime', 'safetensors', 'ml_dtypes'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")
