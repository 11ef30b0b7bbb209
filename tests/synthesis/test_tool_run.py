import os
import time
from pathlib import Path

import pytest

from tf2.synthesis import Tool, ToolFailedError
from tf2.synthesis.stage_cache import stage, stage_folder
from tf2.synthesis.tool_run import run_tool


def shell(text):
    return Tool(name="yosys", command=("/bin/sh", "-c", text), version="1.0", native=True)


def test_output_goes_to_the_log_and_line_by_line_to_who_watches(tmp_path):
    seen = []
    run_tool(
        shell("echo one; echo two >&2; pwd"), [], doing="try", folder=tmp_path,
        log=tmp_path / "logs" / "x.log", watch=seen.append,
    )  # fmt: skip
    assert seen == ["one", "two", str(tmp_path)]
    assert (tmp_path / "logs" / "x.log").read_text().splitlines() == seen


def test_a_failure_says_the_tool_its_reason_and_where_the_log_is(tmp_path):
    log = tmp_path / "x.log"
    with pytest.raises(ToolFailedError) as failed:
        run_tool(
            shell("echo much; echo 'ERROR: no Bels remaining'; exit 3"), [], doing="place it",
            folder=tmp_path, log=log,
        )  # fmt: skip
    assert str(failed.value) == (
        f"yosys 1.0 failed while it was to place it: ERROR: no Bels remaining (log: {log})"
    )


def test_a_tool_that_is_killed_says_by_what(tmp_path):
    with pytest.raises(ToolFailedError, match="it was ended by SIGKILL"):
        run_tool(shell("kill -9 $$"), [], doing="run", folder=tmp_path, log=tmp_path / "x.log")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_an_interrupt_ends_the_tool_and_its_children_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TF2_CACHE", str(tmp_path))
    pids = []

    def watch(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    def make(folder, log):
        (folder / "half").write_text("written")
        run_tool(
            shell("sleep 60 & echo $!; wait"), [], doing="wait", folder=folder, log=log,
            watch=watch,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        stage("test", ("a",), make)
    deadline = time.monotonic() + 10
    while alive(pids[0]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kept = {path.suffix for path in stage_folder("test", ("a",)).parent.iterdir()}
    assert kept == {".lock", ".log"}


def test_a_stage_is_made_once_for_the_same_parts_and_anew_for_others(tmp_path, monkeypatch):
    monkeypatch.setenv("TF2_CACHE", str(tmp_path))
    made = []

    def make(folder, log):
        del log
        made.append(folder)
        (folder / "result").write_text(str(len(made)))

    first = stage("test", ("a", "b"), make)
    assert stage("test", ("a", "b"), make) == first
    other = stage("test", ("ab", ""), make)
    assert [(path / "result").read_text() for path in (first, other)] == ["1", "2"]
