"""The open tools are given a project in a way that does not depend on where it lies."""

import json

import pytest

from tf2.platforms import part_of
from tf2.projects import ProjectFiles, checks
from tf2.synthesis.toolchain import Tool


@pytest.mark.parametrize("name", ["a folder", "größe", "plain"])
def test_yosys_reads_the_overlay_in_its_own_folder_wherever_the_project_lies(
    name, tmp_path, monkeypatch
):
    project = ProjectFiles(folder=tmp_path / name, files=("overlay.v",), commands=(), not_run="")
    project.folder.mkdir()
    (project.folder / "overlay.v").write_text("module overlay; endmodule\n")
    cells = {"modules": {"\\overlay": {"num_cells_by_type": {"LUT4": 3}}}}

    def yosys(tool, arguments, *, folder, **_):
        script = arguments[1]
        assert str(tmp_path) not in script  # WebAssembly sees another /tmp; a space ends a path
        assert "read_verilog overlay.v;" in script
        assert (folder / "overlay.v").read_text() == (project.folder / "overlay.v").read_text()
        (folder / "cells.json").write_text(json.dumps(cells))

    tool = Tool(name="yosys", command=("yosys",), version="0", native=True)
    monkeypatch.setattr(checks, "find_tool", lambda name: tool)
    monkeypatch.setattr(checks, "run_tool", yosys)
    assert checks.synthesise(project, part_of("kv260")) == {"LUT4": 3}
