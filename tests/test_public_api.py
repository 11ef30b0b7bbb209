"""What ``import tf2`` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tf2

HEAVY = ("numpy", "onnx", "onnxruntime", "pydantic", "PIL", "rich", "torch", "tensorflow", "cv2")


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh Python has after running ``code``."""
    script = f"{code}\nimport sys\nprint(sorted({{m.split('.')[0] for m in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(re.findall(r"'([^']+)'", run.stdout.splitlines()[-1]))


def test_public_names():
    assert sorted(tf2.__all__) == tf2.__all__
    assert tf2.__all__ == [
        "Accuracy", "AccuracyTarget", "Comparison", "CompressedModel", "CompressionSettings",
        "PairedAccuracy", "Preprocessing", "Samples", "Session", "Tf2Error", "__version__",
        "classify", "compare", "compress", "evaluate", "export_onnx", "inq", "inspect_model",
        "load", "load_model", "prune", "retraining", "train",
    ]  # fmt: skip


def test_every_public_name_is_where_its_home_says():
    assert {*tf2._HOMES, "__version__"} == set(tf2.__all__)
    for name, (module, attribute) in tf2._HOMES.items():
        assert getattr(tf2, name) is getattr(importlib.import_module(module), attribute)


def test_type_checkers_are_told_the_same_names():
    tree = ast.parse(Path(tf2.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    told = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in imports
        for alias in node.names
    }
    assert told == tf2._HOMES


def test_dir_lists_names_that_are_not_imported_yet():
    assert set(tf2.__all__) <= set(dir(tf2))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tf2' has no attribute 'gradients'"):
        tf2.gradients  # noqa: B018


def test_importing_tf2_imports_nothing_heavy():
    assert not modules_after("import tf2") & set(HEAVY)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['tf2', '--help']\n"
        "from tf2.cli.main import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code"
    )
    assert not modules_after(code) & set(HEAVY)
