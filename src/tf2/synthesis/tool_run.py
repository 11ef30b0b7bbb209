"""Running a tool: all it says goes to a log and to whoever watches; no process is left over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tf2.errors import BuildError
from tf2.synthesis.toolchain import Tool

_SAID = 5
"""Lines of a failed run that its error repeats."""


class ToolFailedError(BuildError):
    """A tool ended with an error.

    Args:
        tool: Which.
        doing: What it was to do.
        reason: What it said.
        log: All it said.
    """

    def __init__(self, *, tool: Tool, doing: str, reason: str, log: Path) -> None:
        super().__init__(f"{tool.identity} failed while it was to {doing}: {reason} (log: {log})")
        self.reason = reason
        self.log = log


def run_tool(
    tool: Tool,
    arguments: Sequence[str],
    *,
    doing: str,
    folder: Path,
    log: Path,
    watch: Callable[[str], None] | None = None,
) -> None:
    """Run a tool to its end; whatever interrupts this ends the tool with all its children.

    Args:
        tool: The tool.
        arguments: Of its command line.
        doing: For the error: "route the design".
        folder: That it works in.
        log: Gets all it says; stays when it fails.
        watch: Told each line.

    Raises:
        ToolFailedError: It ends with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as kept,
        subprocess.Popen(
            [*tool.command, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,  # a group of its own: wrappers and abc are ended with it
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                kept.flush()
                if watch is not None:
                    watch(line.rstrip())
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise ToolFailedError(tool=tool, doing=doing, reason=_reason(log, process), log=log)


def _reason(log: Path, process: subprocess.Popen[str]) -> str:
    """Return what the tool gave as its error, else its last words, else how it ended."""
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in said if line.startswith(("ERROR", "FATAL", "terminate called"))]
    if process.returncode < 0:
        errors.append(f"it was ended by {signal.Signals(-process.returncode).name}")
    return "; ".join(errors[:_SAID] or said[-_SAID:]) or f"exit code {process.returncode}"
