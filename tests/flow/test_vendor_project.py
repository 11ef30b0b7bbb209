import json
from types import SimpleNamespace

import pytest

from tf2 import flow
from tf2.arch import named_config
from tf2.errors import ConfigError
from tf2.flow import vendor_project

SMALL = named_config("test-small")


@pytest.fixture
def project(monkeypatch):
    """What the project is asked for; lint and synthesis answer at once."""
    asked = {}

    def generate(part, config, program, directory, *, clock_mhz, progress):
        asked.update(part=part.name, config=config, program=program, clock_mhz=clock_mhz)
        directory.mkdir(parents=True)
        return SimpleNamespace(
            folder=directory, files=("overlay.v",), commands=("vivado",), not_run="Vivado was not"
        )

    monkeypatch.setattr("tf2.projects.generate", generate)
    monkeypatch.setattr("tf2.projects.lint", lambda project: ["%Warning: x"])
    monkeypatch.setattr(
        "tf2.projects.synthesise", lambda project, part, progress: {"LUT6": 1000, "FDRE": 900}
    )
    predicted = SimpleNamespace(shares=lambda part: {part.lut_kind: 0.25})
    monkeypatch.setattr("tf2.resources.estimate_resources", lambda config, family: predicted)
    return asked


def test_the_report_says_what_was_checked_and_what_was_not(tmp_path, project):
    report = flow.make_project(None, target="kv260", overlay=SMALL, output=tmp_path / "out")
    assert (project["part"], project["config"], project["program"]) == ("kv260", SMALL, None)
    assert report.clock_mhz == project["clock_mhz"] == 200.0
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["cells"] == {"LUT6": 1000, "FDRE": 900}
    assert saved["lint"] == ["%Warning: x"]
    assert saved["not_run"] == "Vivado was not"
    assert saved["shares"] == {"LUT6": 0.25}
    assert saved["frames_per_second"] is None


def test_a_model_brings_its_program_and_its_frames(tmp_path, project, monkeypatch):
    program = object()
    compiled = SimpleNamespace(arrays=[SimpleNamespace(program=program)])
    estimated = SimpleNamespace(total=SimpleNamespace(cycles=100_000))
    monkeypatch.setattr(vendor_project, "compile_model", lambda model, config: compiled)
    monkeypatch.setattr(vendor_project, "estimate", lambda model, config: estimated)
    report = flow.make_project(
        "m.tf2", target="arria10-gx1150", overlay=SMALL, output=tmp_path / "out"
    )
    assert project["program"] is program
    assert report.frames_per_second == pytest.approx(1925)


def test_a_part_of_the_open_tools_and_nothing_to_build_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="ecp5-85k needs no vendor's tools"):
        flow.make_project(None, target="ecp5-85k", overlay=SMALL, output=tmp_path)
    with pytest.raises(ConfigError, match="nothing to build"):
        flow.make_project(None, target="kv260", output=tmp_path)
